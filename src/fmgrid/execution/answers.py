"""Messages of a worker, as the parent reads them: somebody else's code may have written them.

The parent makes values of fmgrid's and Python's own classes only, and checks each of them.
"""

import builtins
import io
import pickle
from typing import Any

from fmgrid.execution import Task
from fmgrid.experiment import EpochRecord, Run

# Bytes: the run of a million epochs. Text that plugged-in code writes into the pipe passes for the
# length of a message, and four tabs, the least that text can be, for one more than this.
MAX_MESSAGE_BYTES = 0x09090909 - 1

_ERRORS = {
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
}
_SAFE = {
    "fmgrid.errors": None,  # all classes
    "fmgrid.experiment": None,
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},  # TOML has these
    "builtins": {"bytearray", "complex", "frozenset", "set", *_ERRORS},
}


class AnswerError(Exception):
    """A message is not one that fmgrid's own code sends."""

    def __init__(self) -> None:
        super().__init__("its worker process gave another answer than fmgrid's")


def load(message: bytes) -> Any:
    """Return the value of a pickle that names no other class than the safe ones.

    Any other class would be imported, and its code would run in the parent.
    Raises `AnswerError`.
    """
    try:
        return _Unpickler(io.BytesIO(message)).load()
    except Exception as error:
        raise AnswerError from error


def checked(answer: Any, task: Task) -> EpochRecord | Run:
    """Return an epoch or the run of a task if its values are valid. Raises `AnswerError`."""
    try:
        if isinstance(answer, EpochRecord):
            return EpochRecord.model_validate(answer.model_dump(warnings="error"))
        if isinstance(answer, Run) and answer.experiment == task.experiment:
            fields = answer.model_dump(exclude={"experiment"}, warnings="error")
            return Run.model_validate({**fields, "experiment": task.experiment})
    except Exception as error:
        raise AnswerError from error
    raise AnswerError


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return a class that is safe to make."""
        if module in _SAFE and "." not in name:
            names = _SAFE[module]
            if names is None or name in names:
                kind = super().find_class(module, name)
                if isinstance(kind, type):
                    return kind
        raise pickle.UnpicklingError(f"{module}.{name} is not fmgrid's")
