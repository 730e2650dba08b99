"""Messages of a worker, as the parent takes them: somebody else's code may have had a hand in them.

The parent makes values of fmgrid's and Python's own classes only, and checks each of them.
"""

import builtins
import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fmgrid.execution import Task
from fmgrid.experiment import EpochRecord, Run

# Bytes: the run of a million epochs. Text that plugged-in code writes into the pipe passes for the
# length of a message, and four tabs, the least that text can be, for one more than this.
LARGEST = 0x09090909 - 1

_SAFE = {
    "fmgrid.errors": None,  # all classes
    "fmgrid.experiment": None,
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},  # TOML has these
    "builtins": {"bytearray", "complex", "frozenset", "set"},
}


class AnswerError(Exception):
    """A message is not one that fmgrid's own code sends."""

    def __init__(self) -> None:
        super().__init__("its worker process gave another answer than fmgrid's")


def load(message: bytes) -> Any:
    """Return the value of a pickle that names no other class than the safe ones.

    Any other would be imported, and could do here what its worker is there to keep away.
    Raises `AnswerError`.
    """
    with _doubted():
        return _Unpickler(io.BytesIO(message)).load()


def checked_run(answer: Any, task: Task) -> Run:
    """Return the run of a task if its values are such as a run has. Raises `AnswerError`."""
    with _doubted():
        if not isinstance(answer, Run) or answer.experiment != task.experiment:
            raise AnswerError
        fields = answer.model_dump(exclude={"experiment"}, warnings="error")
        return Run.model_validate({**fields, "experiment": task.experiment})


def checked_epoch(record: EpochRecord) -> EpochRecord:
    """Return the record if its values are such as an epoch has. Raises `AnswerError`."""
    with _doubted():
        return EpochRecord.model_validate(record.model_dump(warnings="error"))


@contextmanager
def _doubted() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise AnswerError from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return a class that is safe to make."""
        if module in _SAFE and "." not in name:
            names = _SAFE[module]
            if names is None or name in names or _is_error(module, name):
                found = super().find_class(module, name)
                if isinstance(found, type):
                    return found
        raise pickle.UnpicklingError(f"{module}.{name} is not fmgrid's")


def _is_error(module: str, name: str) -> bool:
    kind = getattr(builtins, name, None) if module == "builtins" else None
    return isinstance(kind, type) and issubclass(kind, Exception)
