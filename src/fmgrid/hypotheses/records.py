"""What a log folder keeps of the grids that were run: commands, and hypotheses with their dates."""

from typing import Annotated, Any

from pydantic import AwareDatetime, BeforeValidator, Field, Strict, TypeAdapter

from fmgrid.experiment import LongText, Name, Record, ShortText, Word
from fmgrid.hypotheses.language import (
    MAX_HYPOTHESES,
    Condition,
    Equivalence,
    Expectation,
    ExpectationError,
    Ordering,
    selections,
)
from fmgrid.hypotheses.notation import parse_expectation

_MOST_NAMES = 1_000_000
_MOST_CHARACTERS = 1_000_000
_List = Strict(strict=False)  # a tuple for which TOML has a list
_EXPECTATION: TypeAdapter[Expectation] = TypeAdapter(
    Ordering | Equivalence, config={"defer_build": True}
)


def _to_resolved(value: Any) -> Expectation:
    """Return a resolved expectation; fmgrid 0.1 wrote it as text."""
    try:
        if isinstance(value, str):
            value = parse_expectation(value, limit=_MOST_CHARACTERS)
    except ExpectationError as error:
        raise ValueError(str(error)) from error
    expectation = _EXPECTATION.validate_python(value)
    if any(isinstance(item, Condition) for items in selections(expectation) for item in items):
        raise ValueError("has a condition where it should name experiments")
    if isinstance(expectation, Equivalence) and len({*expectation.among}) == 1:
        raise ValueError("is about one experiment, which has nothing to differ from")
    return expectation


class Hypothesis(Record):
    """A claim about the results of experiments."""

    claim: ShortText  # for people, one line
    expect: ShortText  # as it was written
    resolved: Annotated[Ordering | Equivalence, BeforeValidator(_to_resolved)]  # of exact names
    metric: Name
    place: ShortText  # file:line


class RegisteredHypothesis(Hypothesis):
    """A hypothesis, and since when it has stood in a grid that was run."""

    since: AwareDatetime


class Command(Record):
    """An `fmgrid run` as values: what it meant can be said again from any folder."""

    text: LongText  # as it was typed, for showing only
    folder: Word  # in which it was typed
    grids: Annotated[tuple[Word, ...], _List]  # files and folders, as they were typed
    logdir: Word
    # the others with their values, "" for a flag
    options: Annotated[tuple[Annotated[tuple[Word, Word], _List], ...], _List] = ()
    seeds: Annotated[tuple[int, ...], _List] = ()  # of --seeds


class GridRecord(Record):
    """What a grid file asked when it was last run."""

    path: Annotated[Word, Field(max_length=10_000)]  # as it was named, with forward slashes
    question: ShortText = ""  # its first comment
    # of the experiments that it spells out itself
    names: Annotated[tuple[Name, ...], _List, Field(max_length=_MOST_NAMES)] = ()
    hypotheses: Annotated[
        tuple[RegisteredHypothesis, ...], _List, Field(max_length=MAX_HYPOTHESES)
    ] = ()
    withdrawn: Annotated[
        tuple[RegisteredHypothesis, ...], _List
    ] = ()  # stated before, and no longer
    commands: Annotated[tuple[LongText, ...], _List] = ()  # that ran it, in order
    runs: Annotated[tuple[Command, ...], _List] = ()  # those of the commands known as values
    file: Word = ""  # the grid's absolute path without links, "" where it is not known
    root: Word = ""  # the log folder's, to which the others are relative if all of it moves
