"""Every mistake that a user can make: a message that says what, where and how to mend it.

An error carries its exit code, so that the command line turns any of them into one and the
same ending: the text on stderr, no traceback, the code.
"""

import errno
import os
import sys
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


class RefusedError(MachineError):
    """The machine gives too little memory, or too few processes, threads or files."""


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


_LONGEST_REASON = 300  # characters
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENFILE}


def is_the_machines(error: BaseException, *, is_plugged_in: bool = True) -> bool:
    """Tell whether an error is the disk's or the system's, and would strike any other run too.

    Without plugged-in code a training opens, imports and starts only fmgrid's own things: the
    machine is to blame for every refusal, but for memory, of which a network may need too much.
    """
    if isinstance(error, MachineError) or (isinstance(error, OSError) and error.errno in _FULL):
        return True
    if is_plugged_in or is_lack_of_memory(error):
        return False
    if isinstance(error, OSError):
        return error.errno is not None  # the system sets it, and a made-up OSError has none
    return explain_refusal(error) is not None


def is_lack_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory was asked for and not given."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    said = text_of(error)
    of_torch = "can't allocate memory" in said or "bad_alloc" in said
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and of_torch)


_ASKED_FOR_MEMORY = (
    "cannot allocate memory",
    "can't allocate memory",
    "failed to map segment",
    "bad_alloc",
    "memoryerror",
    "without exception set",
    "without setting an exception",  # Python's SystemError, which follows a MemoryError
)
_LEAST_ADDRESSES = 240_000_000  # bytes; with fewer OpenBLAS may end the process by itself
_ASKED_FOR_PROCESS = ("can't start new thread", "resource temporarily unavailable")
_ASKED_FOR_FILE = ("too many open files",)
_ASKED_FOR_FOLDER = ("no usable temporary directory", "af_unix path too long")


def explain_refusal(error: BaseException | str) -> str | None:
    """Return a sentence on the memory, process, file or folder that the machine refused.

    It says the error itself and the remedy. None if the error means something else.
    """
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    text = " ".join(text.split())
    said = text.lower()
    if isinstance(error, OSError) and error.errno is not None:
        said += os.strerror(error.errno).lower()
    for phrases, sentence in (
        (_ASKED_FOR_MEMORY, _explain_memory),
        (_ASKED_FOR_PROCESS, _explain_processes),
        (_ASKED_FOR_FILE, _explain_files),
        (_ASKED_FOR_FOLDER, _explain_folder),
    ):
        if any(phrase in said for phrase in phrases):
            return f"the machine refused {sentence()} (it said: {text[:_LONGEST_REASON]})"
    if isinstance(error, ImportError):
        return f"a module cannot be imported; install fmgrid again ({text[:_LONGEST_REASON]})"
    return None


def check_address_space() -> None:
    """Raise `RefusedError` if this process may have too few addresses to load numpy."""
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESSES:
        raise RefusedError(f"the machine refused {_explain_memory()}")


def _explain_memory() -> str:
    return (
        "memory: training needs about 5 GB of address space and 500 MB of memory, and 150 MB for "
        f"each further worker; a report needs 1 GB of address space{_address_space()}; "
        "raise the limit (ulimit -v unlimited), free memory, or start fewer workers (-j 1)"
    )


def _explain_processes() -> str:
    return (
        "a process or thread: fmgrid needs 4 processes, and 4 processes and threads for each "
        "worker; raise the limit (ulimit -u, or pids of the container), "
        "or start fewer workers (-j 1)"
    )


def _explain_files() -> str:
    return (
        "an open file: fmgrid needs 48, and 8 for each worker; raise the limit (ulimit -n 1024), "
        "or start fewer workers (-j 1)"
    )


def _explain_folder() -> str:
    return (
        "a temporary folder; set TMPDIR to a folder with a short path that can be written, "
        "as in TMPDIR=$HOME/tmp"
    )


def _address_space() -> str:
    """Return the limit of this process's address space, "" if there is none."""
    if sys.platform == "win32":
        return ""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return "" if limit == resource.RLIM_INFINITY else f", and ulimit -v allows {limit // 1024} kB"
