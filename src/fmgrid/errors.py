"""Errors for people: each says what is wrong, where, and how to mend it, and has an exit code.

The command line ends with the text on stderr and that code, and without a traceback.
"""

import errno
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from fmgrid.words import printable


class FmgridError(Exception):
    """Base of all errors for a person to read, a line for each argument."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        """Return each argument on one line, even if the name of a file has two."""
        return "\n".join(printable(str(line)) for line in self.args)


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
    """All problems of what the user wrote, in the order of the files."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(
            set(problems),
            key=lambda problem: (problem.place.source, problem.place.line or 0, str(problem)),
        )
        super().__init__(self.problems)  # so that it can be copied

    def __str__(self) -> str:
        """Return a line for each problem."""
        return "\n".join(map(str, self.problems))

    @classmethod
    def at(cls, source: str, message: str) -> "InputError":
        """Return the error for one problem with a file or an option."""
        return cls([Problem(Place(source), "", message)])


class MachineError(FmgridError):
    """The machine refuses: data, disk, permissions, a lock that somebody holds."""

    exit_code = 3


class RefusedError(MachineError):
    """The machine gives too little memory, or too few processes, threads or files."""


class DataError(MachineError):
    """A data set cannot be found, fetched or trusted, for one or several reasons."""


class StoreError(MachineError):
    """A log folder cannot be read or written."""


class DamagedFileError(FmgridError):
    """A file in a log folder is not as fmgrid wrote it; the caller decides what that costs."""


class NewerFormatError(DamagedFileError):
    """A results file is whole, and only a newer fmgrid can read it."""


def text_of(error: BaseException) -> str:
    """Return the text of an error, whose class may be anyone's."""
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - its __str__ may raise anything
        return "it cannot say what is wrong"


def on_one_line(error: BaseException) -> str:
    """Return the class and the text of an error, which may be of somebody else's code."""
    words = text_of(error)[:_LONGEST_REASON].split()
    return f"{type(error).__name__}: {' '.join(words)}".removesuffix(": ")


def reason_of(error: BaseException, limit: int) -> str:
    """Return the system's words for an error, or its text, on one line."""
    words = getattr(error, "strerror", None) or text_of(error)
    return printable(" ".join(words.split()), limit)


_LONGEST_REASON = 300  # characters
_MACHINES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENFILE}


def is_the_machines(error: BaseException, *, is_plugged_in: bool = True) -> bool:
    """Tell whether the machine is to blame for an error, so that other runs would fail as well.

    Without plugged-in code it is to blame for every refusal except that of memory, of which a
    network may need too much.
    """
    code = error.errno if isinstance(error, OSError) else None  # which only the system sets
    if isinstance(error, MachineError) or code in _MACHINES:
        return True
    if is_plugged_in or is_lack_of_memory(error):
        return False
    return code is not None if isinstance(error, OSError) else explain_refusal(error) is not None


def is_lack_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that the machine has too little memory."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, RuntimeError):  # of torch
        return any(words in text_of(error) for words in ("can't allocate memory", "bad_alloc"))
    return isinstance(error, MemoryError)


_LEAST_ADDRESSES = 240_000_000  # bytes; with fewer OpenBLAS may end the process by itself
_MEMORY = (
    "memory: training needs about 5 GB of address space and 500 MB of memory, and 150 MB for "
    "each further worker; a report needs 1 GB of address space; "
    "raise the limit (ulimit -v unlimited), free memory, or start fewer workers (-j 1)"
)
# What the machine refused, with the remedy, by the words of Python and the libraries for it
_REFUSALS = {
    (
        *("cannot allocate memory", "can't allocate memory", "failed to map segment", "bad_alloc"),
        # The last two are of Python's SystemError, which follows a MemoryError.
        *("memoryerror", "without exception set", "without setting an exception"),
    ): _MEMORY,
    ("can't start new thread", "resource temporarily unavailable"): (
        "a process or thread: fmgrid needs 4 processes, and 4 processes and threads for each "
        "worker; raise the limit (ulimit -u, or pids of the container), "
        "or start fewer workers (-j 1)"
    ),
    ("too many open files",): (
        "an open file: fmgrid needs 48, and 8 for each worker; raise the limit (ulimit -n 1024), "
        "or start fewer workers (-j 1)"
    ),
    ("no usable temporary directory", "af_unix path too long"): (
        "a temporary folder; set TMPDIR to a folder with a short path that can be written, "
        "as in TMPDIR=$HOME/tmp"
    ),
}


def explain_refusal(error: BaseException | str) -> str | None:
    """Return a sentence on the memory, process, file or folder that the machine refused.

    It has the remedy and the text of the error. None if the error means something else.
    """
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    text = " ".join(text.split())
    words = text.lower()
    if isinstance(error, OSError) and error.errno is not None:
        words += os.strerror(error.errno).lower()
    for phrases, refusal in _REFUSALS.items():
        if any(phrase in words for phrase in phrases):
            return f"the machine refused {refusal} (it said: {text[:_LONGEST_REASON]})"
    if isinstance(error, ImportError):
        return f"a module cannot be imported; install fmgrid again ({text[:_LONGEST_REASON]})"
    return None


def check_address_space() -> None:
    """Raise `RefusedError` if this process may have too few addresses to load numpy."""
    if sys.platform != "win32":
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESSES:
            raise RefusedError(f"the machine refused {_MEMORY}")
