"""The hypothesis language: the expectations of a grid, as text and as values.

    expect      = ordering | equivalence
    ordering    = side ((">" side)+ | ("<" side)+) ["by" NUMBER]
    side        = NUMBER | term ["-" term]
    term        = [("best" | "mean" | "each") "of"] selection
    selection   = NAME {"," NAME} | condition {"and" condition}
    condition   = SETTING "=" VALUE | SETTING "in" "[" VALUE {"," VALUE} "]"
    equivalence = "no" "difference" "greater" "than" NUMBER "among" selection

NAME is a bare word of letters, digits and _ . + * ? and, inside, -; or anything in quotes,
as a name must be that looks like a number or is a word of the language. * stands for any
text, ? for one character. VALUE is TOML's: text in quotes, a number, true, false or a list
of these. A minus stands between spaces. NUMBER, after "by" and "than", is from 0.

">" compares numbers as they are, those of losses too; "by" is the least difference that
counts. "best" is the highest of accuracies and the lowest of losses. Nothing is evaluated
here: an expectation is a value, and `analysis` judges it. Every error names the wrong word, its
place, and a remedy.
"""

import math
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import Field, FiniteFloat

from fmgrid.errors import FmgridError
from fmgrid.hypotheses.hints import (
    BEFORE_OF,
    FILLERS,
    HINTS,
    HINTS_OF,
    JOINTS,
    NO_SETTINGS,
    SAME,
)
from fmgrid.settings import keys_of, meant_by, objection_to, to_toml
from fmgrid.words import printable

MAX_CHARACTERS = 2_000
MAX_HYPOTHESES = 200  # of a grid; a family of more settles none of them
MAX_COMPARISONS = 20_000  # of a grid's hypotheses; they take a second, in a report two


class ExpectationError(FmgridError):
    """An expectation that cannot be read, or that no experiments can answer."""

    exit_code = 2


class TooManyError(ExpectationError):
    """A grid has too many hypotheses, or too many comparisons in them."""


@dataclass(frozen=True)
class Condition:
    """A setting that has any of some values, or is compared with a value or another setting."""

    setting: str
    values: tuple[Any, ...]  # lists are tuples
    sign: str = "="
    other: str = ""  # the other setting, which takes the place of values


# Names of experiments, with * and ?, or conditions that must all hold. Resolved: exact names.
Selection: TypeAlias = Annotated[tuple[str | Condition, ...], Field(min_length=1)]
Margin: TypeAlias = Annotated[FiniteFloat, Field(ge=0)]


@dataclass(frozen=True)
class Term:
    """One number of a selection, or with "each" all of them."""

    quantifier: Literal["one", "best", "mean", "each"]
    of: Selection


@dataclass(frozen=True)
class Contrast:
    """A difference: "epochs_10 - epochs_5"; either side is "one" or "mean"."""

    upper: Term
    lower: Term


@dataclass(frozen=True)
class Constant:
    """A number that the results are compared with."""

    value: FiniteFloat


Side: TypeAlias = Term | Contrast | Constant


@dataclass(frozen=True)
class Ordering:
    """Each side is greater, or with "<" less, than the next by more than *margin*."""

    sides: Annotated[tuple[Side, ...], Field(min_length=2)]
    sign: Literal[">", "<"]
    margin: Margin = 0.0


@dataclass(frozen=True)
class Equivalence:
    """No two of a selection differ by more than *limit*."""

    among: Selection
    limit: Margin


Expectation: TypeAlias = Ordering | Equivalence


def selections(part: Expectation | Side) -> Iterator[Selection]:
    """Yield every selection of an expectation or a side, in the order of its text."""
    match part:
        case Equivalence(among):
            yield among
        case Ordering(sides):
            for side in sides:
                yield from selections(side)
        case Contrast(upper, lower):
            yield from (upper.of, lower.of)
        case Term():
            yield part.of


def names_of(part: Expectation | Side) -> list[str]:
    """Return the names of experiments in a resolved expectation or side."""
    return [name for names in selections(part) for name in names if isinstance(name, str)]


def count_comparisons(expectation: Expectation) -> int:
    """Return how many pairs a resolved expectation compares, each over the seeds of both."""
    if isinstance(expectation, Equivalence):
        number = len(expectation.among)
        return number * (number - 1) // 2
    sizes = [
        len(side.of) if isinstance(side, Term) and side.quantifier in ("best", "each") else 1
        for side in expectation.sides
    ]
    return sum(size * following for size, following in pairwise(sizes))


def check_size(hypotheses: int, comparisons: int) -> None:
    """Raise `TooManyError` for more hypotheses or comparisons than a grid may have."""
    if hypotheses > MAX_HYPOTHESES:
        raise TooManyError(f"comes after {MAX_HYPOTHESES} others, the limit of a grid; write fewer")
    if comparisons > MAX_COMPARISONS:
        raise TooManyError(
            f"takes {comparisons:,} comparisons, with the hypotheses before it, and the limit of a "
            f"grid is {MAX_COMPARISONS:,}; write it about fewer experiments"
        )


# Text -> expectation, and back

_QUANTIFIERS: tuple[Literal["best", "mean", "each"], ...] = ("best", "mean", "each")
_KEYWORDS = {
    *_QUANTIFIERS,
    *("of", "and", "in", "by", "no", "difference", "greater", "than", "among"),
}
_LETTER = "[A-Za-z0-9_.+*?-]"
_BARE = rf"[A-Za-z0-9_*?](?:{_LETTER}*[A-Za-z0-9_.+*?])?(?!{_LETTER})"
_DIGITS = r"[0-9](?:_?[0-9])*"
_NUMBER = rf"[+-]?(?:0|[1-9](?:_?[0-9])*)(?:\.{_DIGITS})?(?:[eE][+-]?{_DIGITS})?(?!{_LETTER})"
_TOKEN = re.compile(
    rf"""\s*(?:(?P<sign>[<>=](?![<=>])|[,\[\]]|[+-](?!{_LETTER}))
    | (?P<percent>{_NUMBER}\s*%)
    | (?P<number>{_NUMBER})
    | (?P<word>{_BARE})
    | (?P<text>"(?:[^"\\]|\\.)*"|'[^']*')
    | (?P<end>\Z)
    | (?P<comparison>(?:[<>!]=)(?![<=>]))
    | (?P<wrong>[<>=!~][<=>]+|{_LETTER}+|.))""",
    re.VERBOSE | re.DOTALL,
)
_AFTER_VALUE = ("and", "by", "<", ">", "-")
_SPACES = "a minus stands between spaces, as in epochs_10 - epochs_5"
_QUOTES = "is no name and no number such as 0.5; a name with other signs stands in quotes"
_EXAMPLE = "as in epochs_10 > epochs_5"


def parse_expectation(text: str, limit: int = MAX_CHARACTERS) -> Expectation:
    """Return the expectation in *text*. Raises `ExpectationError` with the place and a remedy."""
    if len(text) > limit:
        raise ExpectationError(
            f"has {len(text):,} characters, and {limit:,} are the limit; "
            "split it into several hypotheses"
        )
    return Parser(text).expectation()


def to_text(part: Expectation | Side) -> str:
    """Write an expectation, or a side of one, so that `parse_expectation` reads the same again."""
    match part:
        case Equivalence(among, limit):
            return f"no difference greater than {number_text(limit)} among {selection_text(among)}"
        case Ordering(sides, sign, margin):
            text = f" {sign} ".join(map(to_text, sides))
            return f"{text} by {number_text(margin)}" if margin else text
        case Contrast(upper, lower):
            return f"{to_text(upper)} - {to_text(lower)}"
        case Constant(value):
            return number_text(value)
        case Term("one", of):
            return selection_text(of)
        case Term(quantifier, of):
            return f"{quantifier} of {selection_text(of)}"


def selection_text(selection: Selection) -> str:
    """Write a selection as it would stand in an expectation."""
    joint = " and " if isinstance(selection[0], Condition) else ", "
    return joint.join(map(_item_text, selection))


def _item_text(item: str | Condition) -> str:
    if isinstance(item, Condition):
        values = item.other or ", ".join(map(to_toml, item.values))
        is_one = len(item.values) < 2  # noqa: PLR2004 - a list has several
        return f"{item.setting} {item.sign} {values}" if is_one else f"{item.setting} in [{values}]"
    is_number = re.fullmatch(_NUMBER, item)
    is_bare = re.fullmatch(_BARE, item) and not is_number and item not in _KEYWORDS
    return item if is_bare else to_toml(item)


def number_text(value: float) -> str:
    """Write a number as it would stand in an expectation."""
    return repr(value).removesuffix(".0")


def shortened(text: str) -> str:
    """Return a part of an expectation so that it fits into a message."""
    return printable(text, 80)


@dataclass(frozen=True)
class Token:
    """A word, a number, a text or a sign."""

    kind: str  # "word", "number", "text", "sign" or "end"
    text: str  # as it is written, with its quotes
    at: int  # the character, from 1

    def error(self, message: str) -> ExpectationError:
        """Return *message* as an error that names the token and where it stands."""
        if self.kind == "end":
            return ExpectationError(f"ends too early; {message}")
        return ExpectationError(f"{shortened(self.text)} at character {self.at}: {message}")

    def value(self, text: str, hint: str) -> Any:
        """Return the value that TOML reads in *text*, which begins here."""
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise self.error(hint) from error


def _tokens(text: str, hints: Mapping[str, str], signs: Collection[str]) -> Iterator[Token]:
    """Yield the words, numbers, texts and signs of *text*, and its end."""
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        token = Token(kind, match[kind], match.start(kind) + 1)
        if kind == "percent":
            number = float(token.text.rstrip("% "))
            raise token.error(f"write {number / 100:.12g}, a fraction")
        if kind in ("wrong", "comparison") and token.text not in signs:
            is_minus = "-" in (token.text[0], token.text[-1])
            raise token.error(hints.get(token.text, _SPACES if is_minus else _QUOTES))
        yield token


class Parser:
    """Reads tokens from the left, one look ahead; a method for each rule of the grammar."""

    hints: Mapping[str, str] = HINTS
    signs: Collection[str] = ("=",)  # in conditions

    def __init__(self, text: str) -> None:
        self.rest = list(_tokens(text, self.hints, self.signs))[::-1]

    @property
    def next(self) -> Token:
        """The token that is read next."""
        return self.rest[-1]

    def expectation(self) -> Expectation:
        """Read all of the text."""
        expectation = self._equivalence() if self._takes("no") else self._ordering()
        if self.next.text == "and":
            raise self.next.error("write a hypothesis for each of the two")
        self._require_end("nothing more is expected here")
        return expectation

    def _equivalence(self) -> Equivalence:
        for word in ("difference", "greater", "than"):
            self._require(word, SAME)
        limit = self._number("than")
        self._require("among", "write among, and which experiments")
        return Equivalence(self._selection(), limit)

    def _ordering(self) -> Ordering:
        sides = [self._side()]
        sign = self.next.text
        if sign not in (">", "<"):
            while self.next.text in FILLERS:
                self.rest.pop()
            raise self._unexpected(f"write what it is compared with, {_EXAMPLE}")
        while self.next.text in (">", "<"):
            token = self.rest.pop()
            if token.text != sign:
                raise token.error(f'write "{sign}" throughout, or two hypotheses')
            start = self.next
            sides.append(self._side())
            if isinstance(sides[-1], Constant) and isinstance(sides[-2], Constant):
                raise start.error(f"two numbers are compared; write a name, {_EXAMPLE}")
        margin = self._number("by") if self._takes("by") else 0.0
        return Ordering(tuple(sides), cast(Literal[">", "<"], sign), margin)

    def _side(self) -> Side:
        start = self.next
        if start.kind == "number":
            return Constant(self._number())
        upper = self._term()
        if not self._takes("-"):
            return upper
        lower = self._term()
        if not {upper.quantifier, lower.quantifier} <= {"one", "mean"}:
            raise start.error('a difference is of single experiments or "mean of"; write those')
        return Contrast(upper, lower)

    def _term(self) -> Term:
        for quantifier in _QUANTIFIERS:
            if self._takes(quantifier):
                hint = f'write "{quantifier} of"; a name that is {quantifier} stands in quotes'
                self._require("of", hint)
                return Term(quantifier, self._selection())
        if len(self.rest) > 1 and self.rest[-2].text == "of":
            raise self.next.error(HINTS_OF.get(self.next.text.casefold(), BEFORE_OF))
        return Term("one", self._selection())

    def _selection(self) -> Selection:
        are_conditions = self._is_condition()
        items: list[str | Condition] = []
        while not items or self._takes("and" if are_conditions else ","):
            if self._is_condition() != are_conditions:
                raise self._unexpected(JOINTS)
            items.append(self._condition() if are_conditions else self._name())
        return tuple(items)

    def _is_condition(self) -> bool:
        return len(self.rest) > 1 and self.rest[-2].text in (*self.signs, "in")

    def _condition(self) -> Condition:
        setting, joint = self.rest.pop().text, self.rest.pop().text
        start = self.next
        self._check_setting(setting)
        value = self._value()
        if joint != "in":
            return Condition(setting, (value,), joint)
        if not isinstance(value, tuple) or not value:
            raise start.error("write a list after in, as in batch_size in [32, 64]")
        return Condition(setting, value)

    def _check_setting(self, setting: str) -> None:
        if objection := self._objection_to_setting(setting):
            raise ExpectationError(f"{shortened(setting)}: {objection}")

    def _objection_to_setting(self, setting: str) -> str | None:
        objection = objection_to(keys_of(setting))
        if objection and setting in NO_SETTINGS:
            return f"no such setting; {NO_SETTINGS[setting]}"
        if objection and self._names_experiment(setting):
            return f"no such setting; for two experiments {SAME}"
        return objection

    def _value(self) -> Any:
        """Read a value as TOML has it; lists are tuples."""
        start, depth = self.next, 0
        texts: list[str] = []
        while self.next.kind != "end" and (depth or not self._ends_value(texts)):
            texts.append(self.rest.pop().text)
            depth += (texts[-1] == "[") - (texts[-1] == "]")
        hint = 'write a value as TOML has it, as in batch_size = 64 or optimizer = "Adam"'
        return _with_tuples(start.value(" ".join(texts), hint))

    def _names_experiment(self, setting: str) -> bool:
        """Return whether the next token and what stands for a setting may be two experiments."""
        is_word = self.next.kind == "word" and self.next.text not in ("true", "false")
        return is_word and not meant_by(setting)

    def _ends_value(self, texts: Sequence[str]) -> bool:
        """Return whether the next token comes after the value that *texts* began."""
        is_next_word = bool(texts) and self.next.kind == "word"
        return is_next_word or self.next.text in _AFTER_VALUE

    def _name(self) -> str:
        token = self.next
        if token.kind == "number" or token.text in _KEYWORDS:
            raise token.error("a name is expected; this one would stand in quotes")
        if token.kind not in ("word", "text"):
            raise self._unexpected(f"write a name or a condition, {_EXAMPLE}")
        self.rest.pop()
        if token.kind == "word":
            return token.text
        hint = "no text as TOML writes it; put \\ twice, or use single quotes"
        if name := token.value(token.text, hint):
            return str(name)
        raise token.error("a name is empty")

    def _number(self, after: str = "") -> float:
        """Read a number, from 0 where it stands after "by" or "than"."""
        token = self.rest.pop()
        number = float(token.text) if token.kind == "number" else -math.inf
        if after and number < 0:
            raise token.error(f"write a number from 0 after {after}, as in {after} 0.01")
        if not math.isfinite(number):
            raise token.error("is too large a number")
        return number

    def _takes(self, text: str) -> bool:
        """Read on if the next token is this word or sign, and tell whether it was."""
        is_next = self.next.text == text
        if is_next:
            self.rest.pop()
        return is_next

    def _require(self, text: str, hint: str) -> None:
        """Read this word or sign. Raises `ExpectationError` with the hint for another."""
        if not self._takes(text):
            raise self.next.error(hint)

    def _require_end(self, hint: str) -> None:
        if self.next.kind != "end":
            raise self._unexpected(hint)

    def _unexpected(self, message: str) -> ExpectationError:
        return self.next.error(self.hints.get(self.next.text, message))


def _with_tuples(value: Any) -> Any:
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value
