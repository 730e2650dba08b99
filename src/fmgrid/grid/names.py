"""Names of experiments: made from a template, and safe as folders on every system.

A template is text with Python's format fields over the settings, and nothing that could run
code or fill the memory: no attributes, no conversions, no widths beyond two digits.
"""

import re
import string
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fmgrid.experiment import Experiment
from fmgrid.settings import RIVALS, SETTINGS, show_toml
from fmgrid.words import or_near_match, printable

MAX_LENGTH = 100
FIELDS = sorted({*SETTINGS, "depth"})

_FIELD = re.compile(r"([A-Za-z_]\w*)((?:\[\w{1,80}\]){0,9})", re.ASCII)
_SPEC = re.compile(r"[^{}]?[<>=^]?[-+ ]?[#,_]?\d{0,2}(?:\.\d{1,2})?[a-zA-Z%]?")
# A leading "-" is an option to a shell, "=" a command, "." hides; Windows drops a last ".".
_SAFE = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._+=-]*[A-Za-z0-9_+=-])?")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}
_TAKEN = {"readme.md", "experiment_summary.csv"}  # files that share the log folder with the runs


def check_template(template: Any) -> str | None:
    """Return what is wrong with *template* and what would be right, None if nothing is."""
    if not isinstance(template, str):
        return f"{show_toml(template)} is not text in quotes"
    return _objection_to_text(template)


@lru_cache  # the points of a block share a template
def _objection_to_text(template: str) -> str | None:
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        return (
            f"{show_toml(template)} is no template ({reason}); write fields as in epochs_{{epochs}}"
        )
    objections = (
        _objection_to_field(field, spec or "", conversion)
        for _, field, spec, conversion in fields
        if field is not None
    )
    return next(filter(None, objections), None)


def _objection_to_field(field: str, spec: str, conversion: str | None) -> str | None:
    match = _FIELD.fullmatch(field)
    if match is None or conversion or not _SPEC.fullmatch(spec):
        text = field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        return (
            f"{{{printable(text, 60)}}} is no field for a name; "
            "write {epochs}, {hidden_units[0]}, {optimizer_args[momentum]} or {learning_rate:g}"
        )
    setting, index = match.groups()
    if setting == "seed":
        return "{seed} is not for names; runs of other seeds get _s<seed> by themselves"
    if setting not in FIELDS:
        shown = printable(setting, 60)
        return f"{{{shown}}} is no setting{or_near_match(setting, FIELDS, 'there are')}"
    if index and setting not in ("hidden_units", "optimizer_args"):
        return f"{setting} is one value; write {{{setting}}}"
    if setting == "hidden_units" and index and not re.fullmatch(r"\[[0-9]{1,4}\]", index):
        return f"{printable(index, 60)} is no layer; write {{hidden_units[0]}} for the first"
    return None


def make_name(template: str, experiment: Experiment) -> str:
    """Fill *template*, which `check_template` has passed, from the settings of *experiment*.

    Raises ValueError for a field that this experiment doesn't have, such as the second
    layer of a network with one, or a format that doesn't fit its value.
    """
    settings: dict[str, Any] = {field: getattr(experiment, field) for field in FIELDS}
    values = {field: value for field, value in settings.items() if value is not None}
    values["hidden_units"] = _Joined(experiment.hidden_units)
    values["optimizer_args"] = _for_names(experiment.optimizer_args)
    values["optimizer"] = experiment.optimizer.rpartition(":")[2]
    try:
        return template.format_map(values)
    except IndexError as error:
        units = show_toml(experiment.hidden_units)
        raise ValueError(
            f"{show_toml(template)} asks for a layer that hidden_units = {units} lacks; "
            "write {hidden_units} for all of them"
        ) from error
    except KeyError as error:
        lacking = _describe_lack(error.args[0], experiment)
        raise ValueError(f"{show_toml(template)} asks for {lacking}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{show_toml(template)} does not fit the values ({error})") from error


def _describe_lack(field: str, experiment: Experiment) -> str:
    """Describe what a template asks for in vain, and what to write instead."""
    if instead := RIVALS.get(field):
        written = f"{instead} = {show_toml(getattr(experiment, instead))}"
        return f"{field}, in whose place stands {written}; write {{{instead}}}"
    return (
        f"the argument {field}, which is not set for {experiment.optimizer}; "
        "set it, or write {optimizer_args} for those that are"
    )


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
        told = f"{show_toml(name)} has {len(name)} characters"
        return f"{told}; a folder's name has at most {MAX_LENGTH}"
    if not _SAFE.fullmatch(name):
        return (
            f'{show_toml(name)} is no safe folder name; begin with a letter, a digit or "_", '
            'and go on with these and "-", "+", "=" or, inside, "."'
        )
    if name.partition(".")[0].lower() in _DEVICES or name.lower() in _TAKEN:
        return f"{show_toml(name)} is a reserved name; choose another"
    return None


class _Joined(tuple[Any, ...]):
    """Prints as 256_128, which a folder may be called."""

    __slots__ = ()

    def __str__(self) -> str:
        return "_".join(map(str, self)) or "none"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


class _Table(dict[str, Any]):
    """Prints as weight_decay_0.1_betas_0.9_0.99, which a folder may be called."""

    def __str__(self) -> str:
        return "_".join(f"{key}_{value}" for key, value in self.items()) or "none"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def _for_names(value: Any) -> Any:
    if isinstance(value, dict):
        return _Table({key: _for_names(item) for key, item in value.items()})
    return _Joined(map(_for_names, value)) if isinstance(value, list) else value
