"""What a log folder keeps of the grids that were run: commands, and hypotheses with their dates."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from fmgrid.experiment import LongText, Name, Record, ShortText, Word

_MOST_NAMES = 1_000_000


class Stated(Record):
    """A hypothesis, and since when it has stood in a grid that was run."""

    claim: ShortText
    expect: ShortText  # as it was written
    resolved: LongText  # the same, of experiments by name
    metric: Name
    place: ShortText  # file:line
    since: AwareDatetime


class Command(Record):
    """An `fmgrid run` as values: what it meant can be said again from any folder."""

    text: LongText  # as it was typed
    folder: Word  # in which it was typed
    grids: tuple[Word, ...]  # files and folders, as they were typed
    logdir: Word
    # the others with their values, "" for a flag
    options: tuple[tuple[Word, Word], ...] = ()
    seeds: tuple[int, ...] = ()  # of --seeds


class Asked(Record):
    """What a grid file asked when it was last run."""

    path: Annotated[Word, Field(max_length=10_000)]  # as it was named, with forward slashes
    question: ShortText = ""  # its first comment
    names: Annotated[
        tuple[Name, ...], Field(max_length=_MOST_NAMES)
    ] = ()  # of the experiments that it spells out itself
    hypotheses: tuple[Stated, ...] = ()
    withdrawn: tuple[Stated, ...] = ()  # hypotheses that it stated before, and no longer does
    commands: tuple[LongText, ...] = ()  # that ran it, in order
    runs: tuple[Command, ...] = ()  # those of the commands that are known as values
    file: Word = ""  # the grid's absolute path without links, "" where it is not known
    root: Word = ""  # the log folder's, to which the others are relative if all of it moves
