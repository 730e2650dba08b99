"""The settings of an experiment: one table, and one way to look up, compare and show a value.

The entries are the fields of `Experiment`. CSV columns, name templates, exclusions, hypotheses,
axes and HParams are made from them. A test compares the docs' table with them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypeAlias

from fmgrid.experiment import About, Experiment, about, typed
from fmgrid.words import or_near_match, printable

Keys: TypeAlias = tuple[str, ...]  # ("epochs",), ("hidden_units", "0"), ("optimizer_args", "eps")

_LAYER = re.compile(r"units([1-9][0-9]{0,3})")
_INDEX = re.compile(r"0|[1-9][0-9]{0,3}")
_ARGUMENT = re.compile(r"\w+", re.ASCII)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN_CHARACTERS = 80


SETTINGS: Mapping[str, About] = {
    name: about(name) for name in Experiment.model_fields if name not in ("name", "seed")
}
DEFAULTS: Mapping[str, Any] = {name: Experiment.model_fields[name].default for name in SETTINGS}
_UNITS_OF_LAYER = "a whole number from 1, or 0 for no such layer"
# Widths said otherwise than by hidden_units; units3, units4 and so on are known, too.
WIDTHS: Mapping[str, About] = {
    "depth": About(
        "hidden layers",
        ("num_layers", "n_layers", "hidden_layers", "n_hidden"),
        "a whole number from 0",
    ),
    "units": About("units in each hidden layer", ("neurons", "nodes", "width")),
    "units1": About("units in the first hidden layer", expects=_UNITS_OF_LAYER),
    "units2": About("units in the second hidden layer", expects=_UNITS_OF_LAYER),
}
# Words that people write where there is no such setting, and what to tell them.
_NO_SETTING: Mapping[str, tuple[str, ...]] = {
    'write network_args.normalization = "batch"': (
        *("batch_norm", "batchnorm", "batch_normalization", "bn", "norm", "use_batchnorm"),
    ),
    'write network = "CNN", and network_args.channels = [16, 32] for its convolutions': (
        *("conv", "conv_layers", "filters", "n_filters", "num_filters", "num_conv_layers"),
    ),
    "write network_args.kernel_size = 3": ("filter_size", "kernel", "kernels", "kernelsize"),
    "write network_args.pooling = 2": ("max_pool", "maxpool", "pool", "pool_size"),
    'write network_args.activation = "ReLU"': ("act", "activation_function", "nonlinearity"),
    'write network_args.initialization = "kaiming_normal"': (
        *("init", "initializer", "weight_init", "init_weights"),
    ),
    "write network_args.dropout = 0.2": ("drop", "drop_rate", "dropout_p", "dropout_rate"),
    "write optimizer_args.weight_decay = 1e-5": ("decay", "l2", "wd", "weightdecay"),
    "the data set says how many there are": (
        *("classes", "n_classes", "num_classes", "input_size", "output_size"),
        *("in_features", "out_features", "in_channels", "input_dim", "output_dim"),
    ),
    "the learning rate stays the same during a training": ("lr_scheduler", "scheduler", "warmup"),
    "every training runs to its last epoch": (
        "early_stop",
        "early_stopping",
        "earlystopping",
        "patience",
    ),
    "the loss is cross-entropy": ("criterion", "loss", "loss_fn"),
    "networks are trained on the CPU": ("device", "gpu"),
    "the images stay as they are": ("augmentation", "transform", "transforms"),
    "write dataset_args.size = [32, 32] for a folder of images": ("image_size", "img_size"),
    "accuracy and losses are always measured": ("metric", "metrics"),
    "write fmgrid run -j N, for N processes": ("jobs", "n_jobs", "num_workers", "workers"),
    "write seeds = [0, 1, 2] at the top of the file": ("random_seed", "random_state", "seed"),
}
# Two ways to say one thing, of which an experiment has one.
RIVALS: Mapping[str, str] = {"train_steps": "train_images", "train_images": "train_steps"}


def is_width(name: str) -> bool:
    """Return whether a name is depth, units, or units1 and so on."""
    return name in WIDTHS or _LAYER.fullmatch(name) is not None


def about_width(name: str) -> About:
    """Return the entry of depth, units, or units1 and so on."""
    return WIDTHS.get(name, About(name, expects=_UNITS_OF_LAYER))


def layer_of(name: str) -> int | None:
    """Return the layer that units1, units2 and so on are the units of, from 0."""
    match = _LAYER.fullmatch(name)
    return int(match[1]) - 1 if match else None


def value_at(settings: Experiment | Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Return the value of a setting, or of a part of it; None where there is none.

    `depth`, and `units1` for the first layer, follow from hidden_units; `units` is the width that
    all layers share.
    """
    holder = vars(settings) if isinstance(settings, Experiment) else settings
    first, *rest = keys
    if rest and (path := ".".join((first.removesuffix("_args"), *rest))) in holder:
        return holder[path]  # "network.dropout" of plain mltrainer
    if first not in holder and is_width(first):
        units, layer = holder.get("hidden_units"), layer_of(first)
        if first == "depth" or units is None:
            return None if units is None else len(units)
        if layer is None:
            return units[0] if len({*units}) == 1 else None
        first, rest = "hidden_units", [str(layer), *rest]
    value = holder.get(first)
    for key in rest:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, tuple | list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def level_at(settings: Experiment | Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Return the value of a setting for a comparison: of a layer that a network lacks it is 0."""
    value = value_at(settings, keys)
    if value is None and (layer := layer_of(keys[0]) if keys[0] != "units" else 0) is not None:
        units = value_at(settings, ("hidden_units",))
        return None if units is None or len(units) > layer else 0
    return value


def leaves(keys: Keys, value: Any) -> Iterator[tuple[Keys, Any]]:
    """Yield the values in nested tables, with their keys; of another value, itself."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves((*keys, key), inner)
    else:
        yield keys, value


def flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with a key for each argument: "optimizer_args.momentum"."""
    return {
        ".".join(keys): leaf
        for name, value in settings.items()
        for keys, leaf in (leaves((name,), value) if value != {} else ())
    }


def is_same(first: Any, second: Any) -> bool:
    """Tell whether two values are one: true, 1 and 1.0 are three."""
    return typed(first) == typed(second)


def changed_settings(old: Experiment, new: Experiment) -> tuple[str, ...]:
    """Return the names of the fields in which two experiments differ.

    One's own data differ in their content, wherever they are: that is a change of dataset.
    """
    different = [
        name
        for name in Experiment.model_fields
        if not is_same(getattr(old, name), getattr(new, name))
    ]
    of_data = {"dataset", "dataset_args", "content"}
    if "content" not in different and new.content:
        different = [name for name in different if name not in of_data]
    elif of_data.intersection(different) == {"content"}:
        different[different.index("content")] = "dataset"
    return tuple(name for name in different if name != "content")


def describe_change(old: Experiment, new: Experiment) -> str:
    """Return the settings that differ, as "epochs 5 -> 3, ..."."""
    changes = []
    for name in changed_settings(old, new):
        before, after = getattr(old, name), getattr(new, name)
        change = f"{name} {to_toml(before)} -> {to_toml(after)}"
        if is_same(before, after):
            contents = f"content {show(old.content)} -> {show(new.content)}"
            change = f"the data of {name} {to_toml(after)} changed: {contents}"
        changes.append(change)
    return ", ".join(changes)


def keys_of(text: str) -> Keys:
    """Return the keys of a setting in a condition or a column; network.X is network_args.X."""
    first, *rest = text.split(".")
    return (f"{first}_args" if rest and f"{first}_args" in SETTINGS else first, *rest)


def objection_to(keys: Sequence[str]) -> str | None:
    """Return the objection to *keys* with a remedy, None if they name a setting."""
    first, *rest = keys
    setting = about_width(first) if is_width(first) else SETTINGS.get(first)
    if setting is None:
        return f"no such setting{or_meant(first)}"
    if not rest:
        return None
    if first == "hidden_units":
        is_layer = len(rest) == 1 and _INDEX.fullmatch(rest[0])
        return None if is_layer else "is no layer; write hidden_units.0 for the first"
    if (table := f"{first}_args") in SETTINGS:
        return f"{first} is one value; write {'.'.join((table, *rest))}"
    if not setting.is_table:
        return f"{first} is one value; write {first} = ..."
    is_argument = all(map(_ARGUMENT.fullmatch, rest))
    return None if is_argument else "is no name of an argument; write letters, digits and _"


def meant_by(word: str) -> Keys:
    """Return the keys of the setting or argument that is meant by a word, () if none is."""
    lowered = word.casefold()
    for name, setting in (*SETTINGS.items(), *WIDTHS.items()):
        if lowered in setting.aliases:
            return (name, lowered) if setting.is_table else (name,)
    return ()


def or_meant(word: str, known: Iterable[str] = (*SETTINGS, *WIDTHS)) -> str:
    """Return "; did you mean X?" for a word that is not *known*, or another remedy."""
    return remedy_for(word) or or_near_match(word, known, "there are")


def remedy_for(word: str) -> str:
    """Return "; did you mean X?" or another remedy for a word of others, "" if there is none."""
    if meant := meant_by(word):
        return f"; did you mean {'.'.join(meant)}?"
    remedies = (remedy for remedy, words in _NO_SETTING.items() if word.casefold() in words)
    return next((f"; {remedy}" for remedy in remedies), "")


def label_of(name: str) -> str:
    """Return the label of an axis, with its unit."""
    return SETTINGS[name].label if name in SETTINGS else about_width(name).label


def show(value: Any) -> str:
    """Write a value as people do: 0.001, 256 256, Adam."""
    if isinstance(value, tuple | list):
        return " ".join(map(show, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {show(item)}" for name, item in value.items()) or "none"
    if value is None:
        return "default"
    return _short(value) if isinstance(value, str) else str(value)


def _short(text: str) -> str:
    """Return the name of a class or a function, a path without its ending, half of a checksum."""
    if _SHA256.fullmatch(text):
        return text[:12]
    if not text.lower().endswith((".npz", "/")):
        return text.rpartition(":")[2]
    path = PurePath(text)
    parts = [part for part in path.parts if part != ".."]
    return PurePath(*parts[-1:] if path.is_absolute() else parts).as_posix().removesuffix(".npz")


def to_toml(value: Any) -> str:
    """Write a value as TOML does."""
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{printable(escaped)}"'
    if isinstance(value, bool | None):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() >= 2**13:
        return hex(value)  # Python refuses to write more than 4,300 decimal digits
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(to_toml, value))}]"
    if isinstance(value, Mapping):
        items = ", ".join(f"{show_key(key)} = {to_toml(item)}" for key, item in value.items())
        return f"{{ {items} }}" if items else "{}"
    return str(value)


def show_toml(value: Any) -> str:
    """Write a value as TOML does, shortened to fit into a message."""
    return printable(to_toml(value), _SHOWN_CHARACTERS)


def show_key(key: str) -> str:
    """Write a key as TOML does, in quotes where it is no plain word, and shortened."""
    return key if _PLAIN_KEY.fullmatch(key) else show_toml(key)
