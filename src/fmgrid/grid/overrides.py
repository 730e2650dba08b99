"""--set options -> settings, which have the last word over every file."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fmgrid.errors import Place, Problem
from fmgrid.grid.blocks import Written, overlay
from fmgrid.grid.names import check_template
from fmgrid.grid.reading import objection_to_key
from fmgrid.grid.toml_lines import parse
from fmgrid.settings import Keys
from fmgrid.words import printable

# What --set would take for text.
_PYTHONS_WORDS = {
    "True": "write true",
    "False": "write false",
    "None": "leave the setting out, and it keeps its default",
}


def read_overrides(texts: Iterable[str], problems: list[Problem]) -> dict[Keys, Written]:
    """Read "setting=value", the value as TOML writes it; bare words need no quotes."""
    found: dict[Keys, Written] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        keys = tuple(part.strip() for part in key.split("."))
        place = Place(f"--set {printable(text, 100)}")
        written = Written(_toml_value(value.strip()), place, "")
        if keys == ("name",) and not isinstance(written.value, str):
            written = replace(written, value=value.strip())  # a name that looks like a number
        if objection := _objection_to_override(keys, equals, value.strip(), written.value):
            problems.append(written.problem(objection))
        else:
            found = overlay(found, {keys: written})
    return found


def _objection_to_override(keys: Keys, equals: str, text: str, value: Any) -> str | None:
    if not equals:
        return "has no value; write --set setting=value"
    if keys[0] in ("seed", "seeds", "repeats"):
        return "seeds are given as --seeds 0,1,2"
    if keys[0] == "timeout":
        return "a time limit is given as --timeout 60s"
    if keys == ("name",):
        return check_template(value)
    if instead := _PYTHONS_WORDS.get(text):
        return f"{text} is Python's word; {instead}"
    return objection_to_key(keys)


def _toml_value(text: str) -> Any:
    try:
        values = parse(f"value = {text}").values
    except ValueError:  # a bare word, or what no terminal should have sent
        return text
    return values["value"] if len(values) == 1 else text
