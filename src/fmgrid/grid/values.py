"""Whether a value can be one of a setting, or of an argument of a component."""

import math
import re
from collections.abc import Collection
from typing import Any

from pydantic import ValidationError

from fmgrid.components.kinds import Kind
from fmgrid.experiment import Experiment
from fmgrid.settings import SETTINGS, is_width, remedy_for, show_key, show_toml
from fmgrid.words import or_near_match


def is_value(setting: str, value: Any) -> bool:
    """Return whether a setting can have a value, whatever other settings are."""
    try:
        Experiment(name="any", **{setting: value})
    except ValidationError as error:  # with a place where the value itself is wrong
        return not any(details["loc"] for details in error.errors())
    return True


def objection_to_argument(kind: Kind, name: str, argument: str, value: Any) -> str | None:
    """Return why a component cannot be given an argument, None if it can."""
    if argument in kind.reserved:
        return f"{argument} does not belong here: {kind.reserved[argument]}"
    signature = kind.signature(name)
    if not signature.takes(argument):
        arguments = signature.arguments - set(kind.reserved)
        hint = or_near_match(argument, arguments, "it takes")
        if argument in SETTINGS or is_width(argument):
            hint = f"; {argument} is a setting of its own"
        elif kind.is_built_in(name) and _is_remedy(remedy := remedy_for(argument), kind, arguments):
            hint = remedy
        return f"{name} takes no {show_key(argument)}{hint}"
    expects = SETTINGS[kind.table].part
    wrong = signature.objection_to(argument, value) if _is_argument(value) else f"is not {expects}"
    if wrong or not kind.is_built_in(name):
        return f"{show_toml(value)} {wrong}" if wrong else None
    return kind.objection_to_value(name, argument, value)


def _is_remedy(remedy: str, kind: Kind, arguments: Collection[str]) -> bool:
    """Return whether a component takes what a remedy for a word proposes, if that is its own."""
    own = re.search(rf"\b{kind.setting}_args\.(\w+)", remedy)
    return bool(remedy) and (own is None or own[1] in arguments)


def _is_argument(value: Any) -> bool:
    """Return whether a value can be passed on, stored and compared: nan equals nothing."""
    if isinstance(value, list):
        return all(map(_is_argument, value))
    if isinstance(value, dict):
        return all(map(_is_argument, value.values()))
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))
