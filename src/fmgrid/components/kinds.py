"""A kind of component: the settings that name one, and how it is looked up, checked and built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from fmgrid.components.plugins import ComponentError, Expected, ask_for_signature, is_plugged_in
from fmgrid.components.signatures import Signature
from fmgrid.experiment import Experiment
from fmgrid.words import or_near_match, printable


class Component(NamedTuple):
    """A name with all of its arguments, those with a setting of their own included."""

    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Kind:
    """An entry of the table of kinds."""

    setting: str  # which names one; its arguments stand in the setting with _args behind it
    expected: Expected
    library: str  # where the built-in ones are
    built_in: Callable[[], Mapping[str, Signature | Callable[[], Signature]]]  # by name
    of: Callable[[Experiment], Component]
    # Builds one in a worker before the first training, and raises what the component raises.
    check: Callable[[Component], None] | None = None
    objection: Callable[[Signature], str | None] = lambda _: None
    reserved: Mapping[str, str] = field(default_factory=dict)  # arguments that are not its own

    def is_built_in(self, name: str) -> bool:
        """Return whether fmgrid or torch has it, by either of its names."""
        return not is_plugged_in(name) or name.removeprefix(f"{self.library}:") in self.built_in()


def signature(kind: Kind, name: str) -> Signature:
    """Return what a component takes; built-in ones are looked up without importing torch.

    Raises `ComponentError`, with a near match, for a name that means no usable component.
    """
    answer = _signature_or_objection(kind, name)
    if isinstance(answer, str):
        raise ComponentError(answer)
    return answer


@cache  # of objections too: thousands of points may share a module that is slow to fail
def _signature_or_objection(kind: Kind, name: str) -> Signature | str:
    if not kind.is_built_in(name):
        try:
            answer = ask_for_signature(name, kind.expected)
        except ComponentError as error:
            return str(error)
    else:
        built_in = kind.built_in()
        plain = name.removeprefix(f"{kind.library}:")
        if plain not in built_in:
            hint = or_near_match(plain, built_in, "it has")
            return f'{kind.library} has no {kind.expected.noun} "{printable(plain, 80)}"{hint}'
        entry = built_in[plain]
        answer = entry if isinstance(entry, Signature) else entry()
    objection = kind.objection(answer)
    return f"{name} {objection}" if objection else answer
