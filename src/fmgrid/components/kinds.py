"""A kind of component, and the look-up of its names: built in, or "package.module:Class".

The signature of somebody else's class is read in a process of its own, because an import may do
anything to a process. The class itself is imported by a worker that serves no other run.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, TypeGuard

from fmgrid.components.signatures import Signature
from fmgrid.errors import FmgridError, on_one_line
from fmgrid.experiment import Experiment
from fmgrid.system.processes import NoAnswerError, call_in_process
from fmgrid.words import or_near_match, printable

_IMPORT_SECONDS = 60.0  # for a module and torch, whose own import may take 20 from a slow disk
_INSTALLED = frozenset({"site-packages", "dist-packages"})  # folders of installed code


class ComponentError(FmgridError):
    """A name that means no usable class."""

    exit_code = 2


def is_plugged_in(name: str) -> bool:
    """Return whether a component is somebody else's code, neither fmgrid's nor torch's."""
    return ":" in name


class Component(NamedTuple):
    """A name with all of its arguments, those with a setting of their own included."""

    name: str
    args: Mapping[str, Any]


class Work(NamedTuple):
    """The facts that decide how many seconds a network takes."""

    layers: int
    weights: int  # trained numbers
    flops: int  # operations for one image, forwards


@dataclass(frozen=True, eq=False)
class Kind:
    """An entry of the table of kinds."""

    setting: str  # which names one
    noun: str  # for people
    of: Callable[[Experiment], Component]
    library: str  # where the built-in ones are
    built_in: Callable[[], Collection[str]]  # their names
    read: Callable[[str], Signature]  # of a built-in one
    reserved: Mapping[str, str]  # arguments that are not its own, and why
    objection: Callable[[Signature], str | None] = lambda _: None
    base: str = ""  # the class of all that is plugged in; no class can be where there is none
    takes_functions: bool = False  # a function may be plugged in, too, that returns such an object
    # The signature of a name that is neither built in nor plugged in, such as that of a file
    read_other: Callable[[str], Signature | None] = lambda _: None
    own: str = ""  # what to write for one that is not built in
    # Returns the objection to the value of a built-in one's argument: name, argument, value.
    objection_to_value: Callable[[str, str, Any], str | None] = lambda *_: None
    # Builds one in a worker before the first training, with the folder of the prepared data and the
    # bytes that a training may allocate. Raises what the component raises; returns the seconds that
    # an image takes, if it measures them.
    check: Callable[[Experiment, Path, int | None], float | None] | None = None
    is_checked: Callable[[Experiment], bool] = lambda _: True  # whether an experiment needs that
    facts_of: Callable[[Experiment], object] = lambda _: None  # on which a check depends besides

    @property
    def table(self) -> str:
        """The setting that has the arguments."""
        return f"{self.setting}_args"

    def is_built_in(self, name: str) -> bool:
        """Return whether fmgrid or torch has it, by either of its names."""
        may_be_other = bool(self.base) or self.takes_functions
        is_other = may_be_other and is_plugged_in(name) and self.read_other(name) is None
        return not is_other or name.removeprefix(f"{self.library}:") in self.built_in()

    def load(self, name: str) -> Callable[..., Any]:
        """Return the class that a name means, one that is derived from the base, or the function.

        It imports the class's module, which may do anything to the process. Modules of the current
        folder are found too, after all installed ones. Raises `ComponentError` where there is no
        such class or function.
        """
        full_name = name if is_plugged_in(name) else f"{self.library}:{name}"
        module_name, _, class_name = full_name.rpartition(":")
        module = _import(module_name)
        component: Callable[..., Any] | None = getattr(module, class_name, None)
        if component is not None and self._accepts(component):
            return component
        public = ((name, value) for name, value in vars(module).items() if name[:1] != "_")
        known = [name for name, value in public if self._accepts(value)]
        is_of_kind = {"class": self.base, "function": self.takes_functions}
        what = " or ".join(word for word, is_taken in is_of_kind.items() if is_taken)
        raise ComponentError(
            f'module {module_name} has no {self.noun} {what} "{printable(class_name, 80)}"'
            f"{or_near_match(class_name, known, 'it has')}{_hint_at_hidden_file(module_name)}"
        )

    def _accepts(self, value: Any) -> bool:
        is_function = inspect.isroutine(value) or hasattr(value, "__wrapped__")
        return (self.takes_functions and is_function) or _is_derived(value, self.base)

    def signature(self, name: str) -> Signature:
        """Return a component's signature; built-in ones are read without importing torch.

        Raises `ComponentError`, with a near match, for a name that means no usable component.
        """
        answer = _signature_or_objection(self, name)
        if isinstance(answer, str):
            raise ComponentError(answer)
        return answer

    def as_taken(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments as a built-in component takes them; a plug-in's stay as they are."""
        known = _signature_or_objection(self, name) if self.is_built_in(name) else ""
        if isinstance(known, str):
            return dict(args)
        return {argument: known.as_taken(argument, value) for argument, value in args.items()}


@cache  # of objections too: thousands of points may share a module that is slow to fail
def _signature_or_objection(kind: Kind, name: str) -> Signature | str:
    plain = name.removeprefix(f"{kind.library}:")
    if other := kind.read_other(name):
        return other
    if not kind.is_built_in(name):
        signature = _ask_for_signature(kind, name)
    elif plain in kind.built_in():
        signature = kind.read(plain)
    else:
        hint = or_near_match(plain, kind.built_in(), f"{kind.own}it has")
        return f'{kind.library} has no {kind.noun} "{printable(plain, 80)}"{hint}'
    objection = None if isinstance(signature, str) else kind.objection(signature)
    return f"{name} {objection}" if objection else signature


def _ask_for_signature(kind: Kind, name: str) -> Signature | str:
    """Return what somebody else's class takes, or why it cannot be used."""
    try:
        request = [kind.setting, name]
        objection, takes = call_in_process(
            "fmgrid.components:inspect_class", request, _IMPORT_SECONDS
        )
        return printable(objection) or Signature.model_validate_json(takes)
    except (NoAnswerError, TypeError, ValueError) as error:
        reason = error if isinstance(error, NoAnswerError) else NoAnswerError.WRONG_ANSWER
        module_name = printable(name.rpartition(":")[0], 80)
        return f"module {module_name} cannot be imported ({reason})"


def _is_derived(value: Any, base: str) -> TypeGuard[type]:
    # Where the base is not imported nothing is derived from it, and torch's import takes seconds.
    module_name, _, name = base.partition(":")
    module = sys.modules.get(module_name)
    return module is not None and isinstance(value, type) and issubclass(value, vars(module)[name])


def _hint_at_hidden_file(module_name: str) -> str:
    """Say that an installed module hides one of the current folder, "" if it hides none."""
    name = module_name.partition(".")[0]
    place = next((path for path in (Path(f"{name}.py"), Path(name)) if path.exists()), None)
    if place is None or not (name in sys.stdlib_module_names or PathFinder.find_spec(name)):
        return ""
    return f"; an installed module has that name, so rename {place} of the current folder"


@dataclass(frozen=True)
class _LastPlace:
    """Finds the modules of a folder where nothing else has found them.

    At the end of sys.path, a google.py would come before an installed google without __init__.py.
    Installed code tries modules that need not be there, such as colorama: not those of the folder.
    """

    folder: str

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return where the module is, for Python's import."""
        # Python tries modules of its own that other systems have: a _winapi.py is none of them.
        if path is not None or name in sys.stdlib_module_names:
            return None
        if _is_asked_by_installed_code(sys._getframe(1)):
            return None
        return PathFinder.find_spec(name, [self.folder], target)


def _is_asked_by_installed_code(frame: FrameType | None) -> bool:
    """Return whether the first caller outside importlib is installed, and not this module."""
    while frame and str(frame.f_globals.get("__name__")).partition(".")[0] == "importlib":
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename == __file__:
        return False
    return not _INSTALLED.isdisjoint(Path(frame.f_code.co_filename).parts)


def _import(module_name: str) -> Any:
    is_file = module_name.endswith(".py")
    if is_file or not all(part.isidentifier() for part in module_name.split(".")):
        wrong = f'"{printable(module_name, 80)}" is no module'
        ending = ", without .py" if is_file else ""
        raise ComponentError(f'{wrong}; write "package.module:Class"{ending}')
    last = _LastPlace(str(Path.cwd()))
    if last not in sys.meta_path:
        sys.meta_path.append(last)
    try:
        return importlib.import_module(module_name)
    except BaseException as error:  # somebody else's module may raise anything
        missing = error.name if isinstance(error, ModuleNotFoundError) else ""
        is_itself = f"{module_name}.".startswith(f"{missing}.")
        hint = "; install it, or run fmgrid in the folder that holds it" if is_itself else ""
        raise ComponentError(
            f"module {printable(module_name, 80)} cannot be imported ({on_one_line(error)}){hint}"
        ) from error
