"""What fmgrid run refuses because of what a log folder holds: plan says it, run raises it."""

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

from fmgrid.errors import InputError, Place, Problem, StoreError
from fmgrid.execution.runner import Found, Policy, is_set_aside
from fmgrid.grid import Definition
from fmgrid.results.store import Store
from fmgrid.words import counted, first_few

Pair: TypeAlias = tuple[Definition, Found]

_NAMES_SHOWN = 3
_CHANGES_SHOWN = 3


def refuse(
    definitions: Sequence[Definition], found: Sequence[Found], store: Store, policy: Policy
) -> None:
    """Raise `StoreError` or `InputError` for what stands in the way of a run."""
    blocked = [item for item in found if item.state == "blocked"]
    if blocked:
        more = f" (and {len(blocked) - 1} more like this)" if len(blocked) > 1 else ""
        raise StoreError(f"{blocked[0].note}{more}")
    if problems := _outdated(definitions, found, store, policy):
        raise InputError(problems)


def find_refusals(
    definitions: Sequence[Definition], found: Sequence[Found], store: Store, policy: Policy
) -> list[Problem]:
    """Return everything that `refuse` would raise, and what would be refused later."""
    pairs = list(zip(definitions, found, strict=True))
    blocked = [pair for pair in pairs if pair[1].state == "blocked"]
    problems = _outdated(definitions, found, store, policy)
    problems += [_blocked(those) for those in _by_file(blocked)]
    root = Place(f"--logdir {store.root}")
    if os.path.lexists(store.root) and not store.root.is_dir():
        problems.append(Problem(root, "", "is not a folder; choose another --logdir"))
    if any(is_set_aside(item, policy) for item in found):
        try:
            store.check_aside()
        except StoreError as error:
            problems.append(Problem(root, "", str(error)))
    return problems


def _outdated(
    definitions: Sequence[Definition], found: Sequence[Found], store: Store, policy: Policy
) -> list[Problem]:
    """Return problems with finished runs that only --replace may take out of the way."""
    if policy.set_aside:
        return []
    pairs = list(zip(definitions, found, strict=True))
    changed: dict[tuple[Place, tuple[str, ...]], list[Pair]] = defaultdict(list)
    for definition, item in pairs:
        if item.state == "changed":
            place = _place_of(definition, item.changed[0])
            changed[place, item.changed].append((definition, item))
    newer = [pair for pair in pairs if pair[1].state == "newer"]
    return [
        *(_changed(place, names, those, store) for (place, names), those in changed.items()),
        *(_newer(those, store) for those in _by_file(newer)),
    ]


def _changed(place: Place, settings: tuple[str, ...], those: list[Pair], store: Store) -> Problem:
    definition, item = those[0]
    if len(those) == 1:
        name = item.experiment.run_name
        message = f"{store.folder(name)} is finished with other settings ({item.note})"
        return Problem(definition.place, name, f"{message}; {_remedy('it')}")
    changes = list(dict.fromkeys(item.note for _, item in those))
    more = "; ..." if len(changes) > _CHANGES_SHOWN else ""
    told = f"({'; '.join(changes[:_CHANGES_SHOWN])}{more}): {_names(those)}"
    message = f"{counted(len(those), 'run')} in {store.root} are finished with other settings"
    return Problem(place, settings[0], f"{message} {told}; {_remedy('them')}")


def _newer(those: list[Pair], store: Store) -> Problem:
    definition, item = those[0]
    if len(those) == 1:
        message = f"{item.note}, {_remedy('it')}"
        return Problem(definition.place, item.experiment.run_name, message)
    number = f"{counted(len(those), 'run')} in {store.root}"
    message = f"{number} have results of a newer format: {_names(those)}"
    remedy = f"read them with the version that wrote them, {_remedy('them')}"
    return Problem(Place(definition.place.source), "", f"{message}; {remedy}")


def _blocked(those: list[Pair]) -> Problem:
    definition, item = those[0]
    if len(those) == 1:
        return Problem(definition.place, item.experiment.run_name, item.note)
    place = Place(definition.place.source)
    return Problem(place, "", f"{item.note}; so for {counted(len(those), 'run')}: {_names(those)}")


def _by_file(pairs: Sequence[Pair]) -> list[list[Pair]]:
    found: dict[str, list[Pair]] = defaultdict(list)
    for definition, item in pairs:
        found[definition.place.source].append((definition, item))
    return list(found.values())


def _place_of(definition: Definition, setting: str) -> Place:
    """Return where a setting is written, or the file where it is left at its default."""
    is_written = any(keys[0] == setting for keys in definition.written)
    return definition.origin(setting).place if is_written else Place(definition.place.source)


def _names(those: Sequence[Pair]) -> str:
    return first_few([item.experiment.run_name for _, item in those], _NAMES_SHOWN)


def _remedy(them: str) -> str:
    return f"choose another name or --logdir, or set {them} aside with --replace"
