"""Every mistake that a user can make: a message that says what, where and how to mend it.

An error carries its exit code, so that the command line turns any of them into one and the
same ending: the text on stderr, no traceback, the code.
"""

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from fmgrid.words import printable


class FmgridError(Exception):
    """Base of everything that fmgrid raises for a person to read."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        """Return what it says on one line, even of a file whose name has two."""
        return printable(super().__str__())


@dataclass(frozen=True)
class Place:
    """Where a user wrote something: a line of a file, or a command-line option."""

    source: str  # a path as the user gave it, or an option such as "--set epochs=0"
    line: int | None = None  # from 1

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True)
class Problem:
    """One thing to mend: `place: setting: what is wrong; what would be right`."""

    place: Place
    setting: str  # "" where no single setting is at fault
    message: str

    def __str__(self) -> str:
        return printable(": ".join(filter(None, (str(self.place), self.setting, self.message))))


class InputError(FmgridError):
    """What the user wrote cannot be run: all its problems at once, in file order."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=_reading_order))
        super().__init__(self.problems)

    def __str__(self) -> str:
        """Return a line for each problem."""
        return "\n".join(map(str, self.problems))


def _reading_order(problem: Problem) -> tuple[str, int, str]:
    return problem.place.source, problem.place.line or 0, str(problem)


class MachineError(FmgridError):
    """The machine refuses: data, disk, permissions, a lock that somebody holds."""

    exit_code = 3


class DataError(MachineError):
    """A data set cannot be found, fetched or trusted, for which there may be several reasons."""

    def __str__(self) -> str:
        """Return a line for each of them."""
        return "\n".join(map(printable, str(self.args[0]).split("\n")))


class StoreError(MachineError):
    """A results folder cannot be read or written."""


class DamagedFileError(FmgridError):
    """A file in a results folder is not what fmgrid wrote; its reader decides what that costs."""


class NewerFormatError(DamagedFileError):
    """A results file is whole, but only a newer fmgrid can read it."""


def text_of(error: BaseException) -> str:
    """Return what an error says; one of somebody else's class may be unable to say it."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - its __str__ may raise anything
        return "it cannot say what is wrong"


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENFILE}


def is_the_machines(error: BaseException) -> bool:
    """Tell whether an error is the disk's or the system's, and would strike any other run too."""
    return isinstance(error, MachineError) or (isinstance(error, OSError) and error.errno in _FULL)


def is_lack_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory was asked for and not given."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = text_of(error)
    of_torch = "can't allocate memory" in said or "bad_alloc" in said
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and of_torch)
