"""Names of experiments: made from a template, and safe as folders on every system.

A template is text with Python's format fields over the settings, and nothing that could run
code or fill the memory: no attributes, no conversions, no widths beyond two digits.
"""

import re
import string
from collections.abc import Iterable
from typing import Any

from fmgrid.records import Experiment
from fmgrid.words import or_near_match

MAX_LENGTH = 100
FIELDS = sorted({*Experiment.model_fields, "depth"} - {"name", "seed"})

_FIELD = re.compile(r"([A-Za-z_]\w*)((?:\[\w+\])*)")
_SPEC = re.compile(r"[^{}]?[<>=^]?[-+ ]?[#,_]?\d{0,2}(?:\.\d{1,2})?[a-zA-Z%]?")
_SAFE = re.compile(r"[A-Za-z0-9_+=-][A-Za-z0-9._+=-]*")
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}
_TAKEN = {"readme.md", "experiment_summary.csv"}  # files that share the log folder with the runs


def check_template(template: str) -> str | None:
    """Return what is wrong with *template* and what would be right, None if nothing is."""
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError as error:
        return f"{template!r} is no template ({error}); write fields as in epochs_{{epochs}}"
    for _, field, spec, conversion in fields:
        if field is None:
            continue
        match = _FIELD.fullmatch(field)
        if match is None or conversion or not _SPEC.fullmatch(spec or ""):
            return (
                f"{{{field}}} is no field for a name; "
                "write {epochs}, {hidden_units[0]}, {optimizer_args[momentum]} or {learning_rate:g}"
            )
        if match[1] == "seed":
            return "{seed} is not for names; runs of other seeds get _s<seed> by themselves"
        if match[1] not in FIELDS:
            return f"{{{match[1]}}} is no setting{or_near_match(match[1], FIELDS, 'there are')}"
    return None


def make_name(template: str, experiment: Experiment) -> str:
    """Fill *template*, which `check_template` has passed, from the settings of *experiment*.

    Raises ValueError for a field that this experiment doesn't have, such as the second
    layer of a network with one, or a format that doesn't fit its value.
    """
    values: dict[str, Any] = {field: getattr(experiment, field) for field in FIELDS}
    values["hidden_units"] = _Units(experiment.hidden_units)
    values["optimizer"] = experiment.optimizer.rpartition(":")[2]
    try:
        return template.format_map(values)
    except IndexError as error:
        units = list(experiment.hidden_units)
        raise ValueError(
            f"{template!r} asks for a layer that hidden_units = {units} lacks"
        ) from error
    except KeyError as error:
        raise ValueError(f"{template!r} asks for {error}, which this experiment lacks") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{template!r} does not fit the values ({error})") from error


def default_template(stem: str, paths: Iterable[tuple[str, ...]]) -> str:
    """Return a template that names the settings at *paths*; *stem* where there are none."""
    parts = []
    for first, *rest in paths:
        label = "_".join([first, *rest] if first == "hidden_units" else [first, *rest][-1:])
        parts.append(f"{label}_{{{first}{''.join(f'[{key}]' for key in rest)}}}")
    return "_".join(parts) or stem


def check_folder_name(name: str) -> str | None:
    """Return why *name* can't be a folder on Linux, macOS and Windows alike, None if it can."""
    shown = name if len(name) <= MAX_LENGTH else f"{name[:40]}..."
    if len(name) > MAX_LENGTH:
        return f'"{shown}" has {len(name)} characters; at most {MAX_LENGTH} make a folder'
    if not _SAFE.fullmatch(name) or name.endswith("."):
        return (
            f'"{shown}" is no safe folder name; write letters, digits, "_", "-", "+", "=" and, '
            'inside, "."'
        )
    if name.partition(".")[0].lower() in _DEVICES or name.lower() in _TAKEN:
        return f'"{shown}" is a reserved name; choose another'
    return None


class _Units(tuple[int, ...]):
    """Prints as 256_128, which a folder may be called."""

    __slots__ = ()

    def __str__(self) -> str:
        return "_".join(map(str, self))

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)
