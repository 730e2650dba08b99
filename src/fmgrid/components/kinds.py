"""A kind of component: the settings that name one, and how it is looked up and checked."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from fmgrid.components.plugins import ComponentError, ask_for_signature, is_plugged_in, load_class
from fmgrid.components.signatures import Signature
from fmgrid.experiment import Experiment
from fmgrid.words import or_near_match, printable


class Component(NamedTuple):
    """A name with all of its arguments, those with a setting of their own included."""

    name: str
    args: Mapping[str, Any]


class Work(NamedTuple):
    """What the seconds of a network follow from."""

    layers: int
    weights: int  # trained numbers
    flops: int  # operations for one image, forwards


@dataclass(frozen=True, eq=False)
class Kind:
    """An entry of the table of kinds."""

    setting: str  # which names one; its arguments stand in the setting with _args behind it
    noun: str  # for people
    of: Callable[[Experiment], Component]
    library: str  # where the built-in ones are
    built_in: Callable[[], Collection[str]]  # their names
    read: Callable[[str], Signature]  # of a built-in one
    reserved: Mapping[str, str]  # arguments that are not its own, and why
    objection: Callable[[Signature], str | None] = lambda _: None
    base: str = ""  # the class of all that is plugged in; nothing can be where there is none
    # Builds one in a worker before the first training, and raises what the component raises.
    check: Callable[[Component], None] | None = None

    def is_built_in(self, name: str) -> bool:
        """Return whether fmgrid or torch has it, by either of its names."""
        has_plugins = bool(self.base) and is_plugged_in(name)
        return not has_plugins or name.removeprefix(f"{self.library}:") in self.built_in()

    def load(self, name: str) -> type:
        """Return the class that a name means; imports its module. Raises `ComponentError`."""
        full_name = name if is_plugged_in(name) else f"{self.library}:{name}"
        return load_class(full_name, self.noun, self.base)

    def signature(self, name: str) -> Signature:
        """Return what a component takes; built-in ones are looked up without importing torch.

        Raises `ComponentError`, with a near match, for a name that means no usable component.
        """
        answer = _signature_or_objection(self, name)
        if isinstance(answer, str):
            raise ComponentError(answer)
        return answer

    def as_taken(self, name: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments as a built-in component takes them; others know better."""
        known = _signature_or_objection(self, name) if self.is_built_in(name) else ""
        if isinstance(known, str):
            return dict(args)
        return {argument: known.as_taken(argument, value) for argument, value in args.items()}


@cache  # of objections too: thousands of points may share a module that is slow to fail
def _signature_or_objection(kind: Kind, name: str) -> Signature | str:
    plain = name.removeprefix(f"{kind.library}:")
    if not kind.is_built_in(name):
        signature = ask_for_signature(name, kind.noun, kind.base)
    elif plain in kind.built_in():
        signature = kind.read(plain)
    else:
        hint = or_near_match(plain, kind.built_in(), "it has")
        return f'{kind.library} has no {kind.noun} "{printable(plain, 80)}"{hint}'
    objection = None if isinstance(signature, str) else kind.objection(signature)
    return f"{name} {objection}" if objection else signature
