"""Folders of plain mltrainer: an event file, `settings.toml` and `model.toml`.

The files may be anyone's. A missing or damaged file costs a warning and its contents.
"""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, islice, pairwise, takewhile
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

from pydantic import ValidationError

from fmgrid.errors import DamagedFileError
from fmgrid.experiment import Experiment
from fmgrid.metrics import FURTHER
from fmgrid.results.tensorboard import TAGS, Scalars, is_event_file, read_scalars
from fmgrid.system import toml
from fmgrid.system.disk import read_regular
from fmgrid.words import first_few, printable

Plain: TypeAlias = bool | int | float | str
Attribute: TypeAlias = Plain | list[Plain]

# What the settings begin with that fmgrid does not have: attributes of a network and its layers,
# and arguments of mltrainer's trainer
NETWORK, TRAINER = "network.", "trainer."

_LONGEST_RUN = 1e10  # seconds, or 300 years; a damaged clock may say anything
_MOST = 2**31  # epochs, steps or units of an Experiment
_LARGEST_TOML = 2**18  # bytes; a network of 300 layers takes 30,000
_PATIENCE = 7  # mltrainer's default
_LATEST = 4e9  # seconds since 1970: a clock in the year 2096
_ATTRIBUTE = re.compile(r"[A-Za-z0-9_]{1,60}", re.ASCII)  # of a network, as the name of a column
_MOST_ATTRIBUTES = 40  # of one network; and metrics of one run
_LONGEST_ATTRIBUTE = 200  # characters
_LONGEST_LIST = 100  # items
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")  # of an object, which is another one in every run
_OBJECT = re.compile(r"<(?:function )?(?:[\w<>]+\.)*(\w+)(?: object)? at 0x[0-9a-fA-F]+>")
_DATACLASS = re.compile(r"[A-Za-z_]\w*\(.{0,10000}\)", re.ASCII)
_METRIC_TAG = "metric/"
_LONGEST_METRIC = 60  # characters of its name
_TRAINER = ("valid_steps", "scheduler_kwargs", "earlystop_kwargs")
_OTHER_LAYERS = {"in_channels", "input_size", "embed_dim", "num_embeddings"}  # attributes of them
# One of them marks a layer: torch gives "training" to every module, and to no configuration.
_OF_LAYER = frozenset({"training", "in_features", "out_features"})
_MOST_TAGS = 5  # that a warning names


@dataclass(frozen=True)
class LoggedEpoch:
    """What mltrainer logged at the end of one epoch; None for a metric that the run never logged.

    Loss and accuracy are means of batch means, unlike those of fmgrid's own runs.
    """

    epoch: int  # from 1
    train_loss: float | None
    valid_loss: float | None
    accuracy: float | None  # fraction
    learning_rate: float | None  # after the schedule's step, so that of the next epoch
    seconds: float | None  # since the event file was opened
    further: Mapping[str, float] = field(default_factory=dict)  # other metrics: "metric.F1"
    images_seen: int | None = field(default=None, init=False)  # which mltrainer does not say


@dataclass(frozen=True)
class LoggedRun:
    """A run of plain mltrainer, as far as its files can be trusted."""

    # those that are known: by fmgrid's names, and the network's own attributes: "network.dropout"
    settings: Mapping[str, Any]
    history: tuple[LoggedEpoch, ...] = ()
    complete: bool | None = None  # None where the files leave it open
    warnings: tuple[str, ...] = ()  # "file: what is wrong with it"
    # what may tell it from others, too: "trainer.valid_steps", "network.layers.0.p"
    details: Mapping[str, Any] = field(default_factory=dict)
    has_settings: bool = False  # whether both files of settings could be read
    started: datetime | None = None
    weights: None = None
    test_loss: None = None
    test_accuracy: None = None


def read_mltrainer_folder(folder: Path) -> LoggedRun:
    """Return the run in a folder of mltrainer's. Raises `DamagedFileError` for another folder."""
    warnings: list[str] = []
    written = _read_model_table(folder / "settings.toml", warnings)
    network = _read_model_table(folder / "model.toml", warnings)
    scalars = _read_scalars(folder, warnings)
    settings = _to_settings(written, warnings)
    hidden_units = _to_hidden_units(network)
    if hidden_units is not None:
        settings["hidden_units"] = hidden_units
    own, of_layers = _to_attributes(network, hidden_units or (), warnings)
    trainer = {name: written[name] for name in _TRAINER if name in written}
    details = {f"{TRAINER}{path}": value for path, value, _ in _plain_values(trainer)} | of_layers
    history = _to_history(scalars)
    started = scalars.started if 0 < (scalars.started or 0) < _LATEST else None
    return LoggedRun(
        settings | own,
        history,
        _is_complete(written, settings.get("epochs"), len(history)),
        tuple(warnings),
        details=details,
        has_settings=bool(written and network),
        started=datetime.fromtimestamp(started, UTC) if started else None,
    )


def _read_model_table(path: Path, warnings: list[str]) -> dict[str, Any]:
    """Return the table under which tomlserializer puts everything, {} if there is none."""
    try:
        text = read_regular(path, _LARGEST_TOML).decode()
        try:
            table = toml.loads(text).get("model")
        except tomllib.TOMLDecodeError:
            # tomlserializer escapes nothing. The backslashes of a path can be read all the same.
            if "\\" not in text or not text.lstrip().startswith("[model]"):
                raise
            table = toml.loads(text.replace("\\", "\\\\")).get("model")
            warnings.append(
                f"{path.name}: its backslashes are not escaped, which is mltrainer's way; "
                "they were read as they stand"
            )
    except OSError as error:
        problem = error.strerror or str(error)
    except (ValueError, RecursionError) as error:
        problem = f"not valid TOML: {error}"
    else:
        if isinstance(table, dict):
            return table
        problem = "no [model] table"
    warnings.append(f"{path.name}: {problem}")
    return {}


def _to_settings(written: Mapping[str, Any], warnings: list[str]) -> dict[str, Any]:
    """Return the settings that fmgrid accepts, by their names in fmgrid."""
    candidates = {
        name: {name: written[name]} for name in ("epochs", "train_steps") if name in written
    }
    settings: dict[str, Any] = {}
    arguments = written.get("optimizer_kwargs")
    if isinstance(arguments, dict):
        settings["optimizer_args"] = {}
        for name, value in arguments.items():
            if name == "lr":
                candidates["optimizer_kwargs.lr"] = {"learning_rate": value}
            elif value != "None":  # as tomlserializer writes None: the optimizer's own default
                candidates[f"optimizer_kwargs.{name}"] = {"optimizer_args": {name: value}}
    for path, setting in candidates.items():
        try:
            accepted = Experiment.model_validate({"name": "", **setting})
        except ValidationError as error:
            warnings.append(f"settings.toml: {path}: {error.errors()[0]['msg']}")
            continue
        for name in setting:
            value = getattr(accepted, name)
            settings[name] = settings[name] | value if isinstance(value, dict) else value
    return settings


def _to_hidden_units(network: dict[str, Any]) -> tuple[int, ...] | None:
    """Return the units per hidden layer of an MLP, None if *network* may be anything else.

    The fully connected layers of an MLP fit end to end, and it has no others. An older
    tomlserializer wrote no layers, but the attributes units1, units2 and so on.
    """
    tables = list(_tables_in(network))
    if any(table.keys() & _OTHER_LAYERS for table in tables):
        return None
    ends = ((table.get("in_features"), table.get("out_features")) for table in tables)
    sizes = [(left, right) for left, right in ends if _is_count(left) and _is_count(right)]
    if not sizes:
        units: Iterator[Any] = (network.get(f"units{layer}") for layer in count(1))
        return tuple(takewhile(_is_count, units)) or None
    is_chain = all(left[1] == right[0] for left, right in pairwise(sizes))
    return tuple(outputs for _, outputs in sizes[:-1]) if is_chain else None


def _tables_in(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield *table* and those inside it, in the order of the file."""
    yield table
    for value in table.values():
        if isinstance(value, dict):
            yield from _tables_in(value)


def _to_attributes(
    network: Mapping[str, Any], hidden_units: tuple[int, ...], warnings: list[str]
) -> tuple[dict[str, Attribute], dict[str, Attribute]]:
    """Return the network's own attributes with plain values, and those of its layers.

    Its hidden units, which are a setting, are none of them.
    """
    units = {f"units{layer}": count for layer, count in enumerate(hidden_units, 1)}
    tables = {name: _to_table(value) for name, value in network.items() if units.get(name) != value}
    own: dict[str, Attribute] = {}
    of_layers: dict[str, Attribute] = {}
    for path, value, is_of_layer in _plain_values(tables):
        (of_layers if is_of_layer else own)[f"{NETWORK}{path}"] = value
    if len(own) > _MOST_ATTRIBUTES:
        warnings.append(f"model.toml: {len(own)} attributes, {_MOST_ATTRIBUTES} of them are read")
    return dict(islice(own.items(), _MOST_ATTRIBUTES)), of_layers


def _to_table(value: Any) -> Any:
    """Return a dataclass, which is written as Config(size=16), as the table of its fields."""
    if isinstance(value, str) and _DATACLASS.fullmatch(value):
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            call = ast.parse(value, mode="eval").body
            if isinstance(call, ast.Call) and not call.args:
                return {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    return value


def _plain_values(
    table: Mapping[str, Any], path: str = "", *, is_layer: bool = False
) -> Iterator[tuple[str, Attribute, bool]]:
    """Yield path and value of everything plain, and whether it is of a layer."""
    for name, value in table.items():
        if name == "training" or not _ATTRIBUTE.fullmatch(name):
            continue
        if isinstance(value, dict):
            inside = is_layer or not _OF_LAYER.isdisjoint(value)
            yield from _plain_values(value, f"{path}{name}.", is_layer=inside)
        elif (plain := _to_plain(value)) is not None:
            yield f"{path}{name}", plain, is_layer


def _to_plain(value: Any) -> Attribute | None:
    """Return a value by which networks can be compared, None for any other."""
    if isinstance(value, list):
        is_plain = all(not isinstance(item, list) and _to_plain(item) is not None for item in value)
        return value if is_plain and len(value) <= _LONGEST_LIST else None
    if isinstance(value, str):
        is_plain = value != "None" and len(value) <= _LONGEST_ATTRIBUTE
        return value if is_plain and not _ADDRESS.search(value) else None
    is_number = type(value) in (int, float) and abs(value) < 2**63  # which any table can hold
    return value if is_number or isinstance(value, bool) else None


def _read_scalars(folder: Path, warnings: list[str]) -> Scalars:
    """Return the scalars of the one event file with mltrainer's tags.

    Trainers that start in the same second share a folder, and settings.toml is the last one's.
    Raises `DamagedFileError` if the folder is another program's.
    """
    runs: list[Scalars] = []
    other_tags: dict[str, None] = {}
    try:
        paths = sorted(path for path in folder.iterdir() if is_event_file(path.name))
    except OSError as error:
        warnings.append(f"cannot be listed: {error.strerror or error}")
        paths = []
    for path in paths:
        scalars = read_scalars(path)
        if scalars.damage:
            warnings.append(f"{path.name}: {scalars.damage}")
        if any(map(scalars.points.get, TAGS)):
            runs.append(scalars)
        else:
            other_tags |= dict.fromkeys(scalars.points)
    if len(runs) == 1:
        return runs[0]
    if other_tags and not runs:  # the file of a run that has just begun has no tags
        tags = first_few([printable(tag, 60) for tag in other_tags], _MOST_TAGS)
        reason = f"no run of mltrainer's, because its event file has other tags: {tags}"
        raise DamagedFileError(f"{folder}: left out: {reason}")
    problem = f"{len(runs)} event files: several runs share this folder, none is read"
    warnings.append(problem if runs else "no event file with scalars")
    return Scalars({}, None)


def _to_history(scalars: Scalars) -> tuple[LoggedEpoch, ...]:
    """Return the epochs that were logged to their end; of two reports of one, the last counts."""
    columns = {
        name: {point.step: point for point in scalars.points[tag] if 0 <= point.step < _MOST}
        for tag, name in TAGS.items()
        if scalars.points.get(tag)
    }
    steps = set.intersection(*map(set, columns.values())) if columns else set()
    further = {
        name: {point.step: float(f"{point.value:.7g}") for point in points}
        for tag, points in scalars.points.items()
        if tag not in TAGS and (name := _further_metric(tag))
    }
    further = dict(islice(further.items(), _MOST_ATTRIBUTES))
    history = []
    for step in sorted(steps):
        points = {name: column[step] for name, column in columns.items()}
        values = {  # with the seven digits that single precision keeps
            name: float(f"{points[name].value:.7g}") if name in points else None
            for name in TAGS.values()
        }
        seconds = max(point.wall_time for point in points.values()) - (scalars.started or 0)
        is_known = abs(seconds) <= _LONGEST_RUN
        logged = {name: column[step] for name, column in further.items() if step in column}
        history.append(
            LoggedEpoch(step + 1, **values, seconds=seconds if is_known else None, further=logged)
        )
    return tuple(history)


def _further_metric(tag: str) -> str | None:
    """Return the name of a metric that only mltrainer knows, None if the tag is of no metric.

    A function or an object that has no name for people is called by that of its class.
    """
    name = _OBJECT.sub(r"\1", tag.removeprefix(_METRIC_TAG))
    is_metric = tag.startswith(_METRIC_TAG) and name.isprintable() and name.strip()
    return f"{FURTHER}{name}" if is_metric and len(name) <= _LONGEST_METRIC else None


def _is_complete(written: Mapping[str, Any], epochs: int | None, seen: int) -> bool | None:
    """Tell whether all epochs were logged; None where early stopping may have ended the run.

    No epoch at all shows nothing: mltrainer writes to the disk two minutes late.
    """
    if epochs is None or seen == 0:
        return None
    stopping = written.get("earlystop_kwargs")
    if seen < epochs and isinstance(stopping, dict):
        patience = stopping.get("patience", _PATIENCE)
        if type(patience) is not int or seen > patience:
            return None
    return seen >= epochs


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 0 < value < _MOST
