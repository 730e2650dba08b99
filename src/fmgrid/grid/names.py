"""Names of experiments: made from a template, and safe as folders on every system.

A template is text with Python's format fields over the settings, and nothing that could run
code or fill the memory: no attributes, no conversions, no widths beyond two digits.
"""

import re
import string
from collections.abc import Iterable, Mapping
from typing import Any

from fmgrid.components import KINDS
from fmgrid.experiment import Experiment
from fmgrid.settings import (
    RIVALS,
    SETTINGS,
    is_width,
    level_at,
    meant_by,
    or_meant,
    show,
    show_toml,
)
from fmgrid.words import printable

MAX_LENGTH = 100

_FIELD = re.compile(r"([A-Za-z_]\w*)((?:\[\w{1,80}\]){0,9})", re.ASCII)
_SPEC = re.compile(r"[^{}]?[<>=^]?[-+ ]?[#,_]?\d{0,2}(?:\.\d{1,2})?[a-zA-Z%]?")
# A leading "-" is an option to a shell, "=" a command, "." hides; Windows drops a last ".".
_SAFE = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._+=-]*[A-Za-z0-9_+=-])?")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+=-]+")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}
_TAKEN = {"readme.md", "experiment_summary.csv"}  # files that share the log folder with the runs


def check_template(template: Any) -> str | None:
    """Return the mistake in *template* and its remedy, None if there is no mistake."""
    if not isinstance(template, str):
        return f"{show_toml(template)} is not text in quotes"
    try:
        fields = [parts for _, *parts in string.Formatter().parse(template)]
    except ValueError as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        return (
            f"{show_toml(template)} is no template ({reason}); write fields as in epochs_{{epochs}}"
        )
    objections = (_objection_to_field(*parts) for parts in fields)
    return next(filter(None, objections), None)


def _objection_to_field(field: str | None, spec: str | None, conversion: str | None) -> str | None:
    if field is None:  # text without a field behind it
        return None
    match = _FIELD.fullmatch(field)
    if match is None or conversion or not _SPEC.fullmatch(spec or ""):
        text = field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        return (
            f"{{{printable(text, 60)}}} is no field for a name; "
            "write {epochs}, {hidden_units[0]}, {optimizer_args[momentum]} or {learning_rate:g}"
        )
    setting, index = match.groups()
    if setting == "seed":
        return "{seed} is not for names; runs of other seeds get _s<seed> by themselves"
    if setting not in SETTINGS and not is_width(setting):
        first, *keys = meant_by(setting) or [setting]
        part = f"; write {{{first}{''.join(f'[{key}]' for key in keys)}}}" if keys else ""
        return f"{{{printable(setting, 60)}}} is no setting{part or or_meant(setting)}"
    if index and (is_width(setting) or not SETTINGS[setting].part):
        return f"{setting} is one value; write {{{setting}}}"
    return None


def make_name(template: str, experiment: Experiment) -> str:
    """Fill *template*, which `check_template` has passed, from the settings of *experiment*.

    Raises ValueError for a field that this experiment lacks, such as the second layer of a
    network with one, a format that does not fit its value, and a name that no folder may have.
    """
    name = ""
    for text, field, spec, _ in string.Formatter().parse(template):
        name += text
        if field is None:
            continue
        keys = re.findall(r"\w+", field)
        value = level_at(experiment, keys)
        if value is None:
            instead = "hidden_units" if is_width(keys[0]) else RIVALS.get(keys[0], keys[0])
            written = f"{instead} = {show_toml(getattr(experiment, instead))}"
            raise ValueError(
                f"{show_toml(template)} asks for {field}, and the experiment has {written}; "
                f"set it, or write {{{instead}}}"
            )
        if keys[0] in KINDS:  # "package.module:Class", or the path of a data set
            value = _UNSAFE.sub("_", show(value)).strip("_.")
        try:
            name += format(_to_text(value), spec or "")
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{show_toml(template)} does not fit the values ({error})") from error
    if objection := check_folder_name(name):
        raise ValueError(objection)
    return name


def _to_text(value: Any) -> Any:
    """Write a list or a table as a folder may be called: 256_128, weight_decay_0.1."""
    if isinstance(value, Mapping):
        value = [f"{key}_{_to_text(item)}" for key, item in value.items()]
    if isinstance(value, list | tuple):
        return "_".join(str(_to_text(item)) for item in value) or "none"
    return value


def default_template(stem: str, paths: Iterable[tuple[str, ...]]) -> str:
    """Return a template that names the settings at *paths*; *stem* where there are none."""
    parts = []
    for first, *rest in paths:
        label = "_".join([first, *rest] if first == "hidden_units" else [first, *rest][-1:])
        parts.append(f"{label}_{{{first}{''.join(f'[{key}]' for key in rest)}}}")
    return "_".join(parts) or stem.replace("{", "{{").replace("}", "}}")


def check_folder_name(name: str) -> str | None:
    """Return why *name* can't be a folder on Linux, macOS and Windows alike, None if it can."""
    if len(name) > MAX_LENGTH:
        size = f"{show_toml(name)} has {len(name)} characters"
        return f"{size}; a folder's name has at most {MAX_LENGTH}"
    if not _SAFE.fullmatch(name):
        return (
            f'{show_toml(name)} is no safe folder name; begin with a letter, a digit or "_", '
            'and go on with these and "-", "+", "=" or, inside, "."'
        )
    if name.partition(".")[0].lower() in _DEVICES or name.lower() in _TAKEN:
        return f"{show_toml(name)} is a reserved name; choose another"
    return None
