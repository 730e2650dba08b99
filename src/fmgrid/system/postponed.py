"""Imports that wait until they are used, for libraries that import more than they use."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def postponed(name: str) -> Iterator[None]:
    """Give a stand-in for the module *name* to all modules imported in this context.

    The stand-in imports the module at its first use. After the context, an import of *name* gets
    the module itself.
    """
    module = sys.modules.setdefault(name, _StandIn(name))
    try:
        yield
    finally:
        if isinstance(module, _StandIn):
            del sys.modules[name]


class _StandIn(ModuleType):
    """Stands for a module, and passes every use on to the real one."""

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # for which an import looks in any module
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self.__name__), attribute)
