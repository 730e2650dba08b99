"""What a worker answers, as the parent takes it: somebody else's code may have had a hand in it."""

import builtins
import io
import pickle
from typing import Any

from fmgrid.execution.tasks import Task
from fmgrid.experiment import Run

# Bytes: the run of a million epochs. Text that plugged-in code writes into the line passes for the
# length of an answer, and four tabs, the least that text can be, for one more than this.
LARGEST = 0x09090909 - 1

_SAFE = {
    "fmgrid.errors": None,  # all classes
    "fmgrid.experiment": None,
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},  # TOML has these
    "builtins": {"bytearray", "complex", "frozenset", "set"},
}


class AnswerError(Exception):
    """An answer is not one that fmgrid's own code gives."""

    def __init__(self) -> None:
        super().__init__("its worker process gave another answer than fmgrid's")


def load(answer: bytes) -> Any:
    """Return what was pickled, if it is made of fmgrid's and Python's own values.

    Anything else would be imported, and could do here what its worker is there to keep away.
    Raises `AnswerError`.
    """
    try:
        return _Unpickler(io.BytesIO(answer)).load()
    except Exception as error:
        raise AnswerError from error


def checked(answer: Any, task: Task) -> Run:
    """Return the run of a task if its values are such as a run has. Raises `AnswerError`."""
    try:
        if not isinstance(answer, Run) or answer.experiment != task.experiment:
            raise AnswerError  # noqa: TRY301 - one ending for all
        fields = answer.model_dump(exclude={"experiment"}, warnings="error")
        return Run.model_validate({**fields, "experiment": task.experiment})
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
    found = getattr(builtins, name, None) if module == "builtins" else None
    return isinstance(found, type) and issubclass(found, Exception)
