"""Imports that wait until they are needed, for libraries that import more than they use."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def postponed(name: str) -> Iterator[None]:
    """Let what is imported in this context have the module *name* without importing it yet.

    It gets a stand-in, which imports the real one when it is first asked for anything. After
    the context, imports of *name* by anyone else find the real one as ever.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = _StandIn(name)
    try:
        yield
    finally:
        del sys.modules[name]


class _StandIn(ModuleType):
    """Passes for a module until it is used, and on to the real one then."""

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # what the import machinery asks of any module
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self.__name__), attribute)
