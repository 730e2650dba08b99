"""Conditions on settings, which choose experiments: as text and as values.

    conditions = condition {"and" condition}
    condition  = SETTING sign (SETTING | VALUE) | SETTING "in" "[" VALUE {"," VALUE} "]"
    sign       = "=" | "!=" | "<" | "<=" | ">" | ">="

"<" and its like compare numbers. A setting that an experiment lacks is less than nothing and
greater than nothing, and a layer that its network lacks has 0 units.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from fmgrid.components import names_of_components, setting_as_taken
from fmgrid.experiment import Experiment, typed
from fmgrid.hypotheses.hints import CONDITIONS, NO_SETTINGS, SELECTION_HINTS
from fmgrid.hypotheses.language import (
    Condition,
    ExpectationError,
    Parser,
    Selection,
    selection_text,
    shortened,
)
from fmgrid.metrics import METRICS
from fmgrid.settings import keys_of, level_at, objection_to, show_toml

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def parse_selection(text: str, further: Mapping[str, str] = MappingProxyType({})) -> Selection:
    """Return the names or conditions in *text*. Raises `ExpectationError` as for expectations.

    *further* are settings that only plain mltrainer knows, by the words for them.
    """
    return _Parser(text, further).selection()


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Return the conditions in *text*. Raises `ExpectationError`, also for names."""
    selection = parse_selection(text)
    conditions = tuple(item for item in selection if isinstance(item, Condition))
    if not conditions:
        names = shortened(selection_text(selection))
        raise ExpectationError(f"{names} is no condition; write one, as in units2 <= units1")
    return conditions


def holds(condition: Condition, settings: Experiment | Mapping[str, Any]) -> bool:
    """Return whether a condition holds for an experiment.

    Raises `ExpectationError` where a text is less or greater than something.
    """
    keys = keys_of(condition.setting)
    components = names_of_components(settings)
    value = setting_as_taken(components, keys, level_at(settings, keys))
    others = (level_at(settings, keys_of(condition.other)),) if condition.other else ()
    values = others or condition.values
    if order := _ORDERS.get(condition.sign):
        if value is None or values[0] is None:
            return False
        if not (_is_number(value) and _is_number(values[0])):
            text = f"{show_toml(value)} with {show_toml(values[0])}"
            sign = condition.sign
            raise ExpectationError(f"compares {text}, and {sign} takes numbers; write = or !=")
        return order(value, values[0])
    taken = (typed(setting_as_taken(components, keys, other)) for other in values)
    return (typed(value) in taken) == (condition.sign == "=")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


class _Parser(Parser):
    """Reads names, or conditions with all of their signs."""

    hints = SELECTION_HINTS
    signs = ("=", "!=", *_ORDERS)

    def __init__(self, text: str, further: Mapping[str, str]) -> None:
        super().__init__(text)
        self.further = further

    def selection(self) -> Selection:
        """Read all of the text as names or conditions."""
        selection = self._selection()
        self._require_end(CONDITIONS)
        return selection

    def _condition(self) -> Condition:
        for at in (-1, -3):
            if len(self.rest) >= -at and self.rest[at].text in self.further:
                self.rest[at] = replace(self.rest[at], text=self.further[self.rest[at].text])
        sign = self.rest[-2].text
        if self.rest[-1].kind == "number":
            raise self.next.error("write the setting first, as in units1 >= 64")
        if sign == "in" or len(self.rest) < 3:  # noqa: PLR2004 - a setting, a sign, an operand
            return super()._condition()
        operand = self.rest[-3]
        is_setting = operand.kind == "word" and self._objection_to_setting(operand.text) is None
        if is_setting:
            setting = self.next.text
            self._check_setting(setting)
            del self.rest[-3:]
            return Condition(setting, (), sign, operand.text)
        if sign in _ORDERS and operand.kind == "word":
            objection = objection_to(keys_of(operand.text))
            raise ExpectationError(f"{shortened(operand.text)}: {objection}")
        condition = super()._condition()
        if sign in _ORDERS and not _is_number(condition.values[0]):
            value = show_toml(condition.values[0])
            raise operand.error(f"{sign} takes numbers, and {value} is none; write = or !=")
        return condition

    def _objection_to_setting(self, setting: str) -> str | None:
        if setting in self.further:
            return None
        if setting in METRICS:
            return "is a metric; a condition asks for settings"
        if setting in NO_SETTINGS:
            return f"no such setting; {NO_SETTINGS[setting]}"
        return objection_to(keys_of(setting))
