"""The hypothesis language: what a grid expects of its results, as values.

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
here: an expectation is a value, which whoever has results can judge.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, FiniteFloat

from fmgrid.errors import FmgridError

MAX_HYPOTHESES = 200  # of a grid; a family of more settles none of them
MAX_COMPARISONS = 20_000  # of a grid's hypotheses; they take a second, in a report two


class ExpectationError(FmgridError):
    """An expectation that cannot be read, or that no experiments can answer."""

    exit_code = 2


class TooManyError(ExpectationError):
    """One hypothesis more than a grid may have, or one of too many comparisons."""


@dataclass(frozen=True)
class Condition:
    """A setting that has any of some values; lists are tuples."""

    setting: str
    values: tuple[Any, ...]


# Names of experiments, with * and ?, or conditions that must all hold. Resolved: exact names.
Selection: TypeAlias = Annotated[tuple[str | Condition, ...], Field(min_length=1)]
Margin: TypeAlias = Annotated[FiniteFloat, Field(ge=0)]


@dataclass(frozen=True)
class Term:
    """One number out of a selection's, or with "each" every one of them."""

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
    """Raise `TooManyError` for more hypotheses or comparisons than a grid may have together."""
    if hypotheses > MAX_HYPOTHESES:
        raise TooManyError(f"comes after {MAX_HYPOTHESES} others, the limit of a grid; write fewer")
    if comparisons > MAX_COMPARISONS:
        raise TooManyError(
            f"takes {comparisons:,} comparisons, with the hypotheses before it, and the limit of a "
            f"grid is {MAX_COMPARISONS:,}; write it about fewer experiments"
        )
