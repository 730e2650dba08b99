"""What fmgrid run refuses because of what a log folder holds: plan says it, run raises it."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

from fmgrid.errors import InputError, Place, Problem, StoreError
from fmgrid.grid import Definition
from fmgrid.results.store import Store
from fmgrid.search import Agenda, State, Surveyed
from fmgrid.words import counted, first_few

Pair: TypeAlias = tuple[Definition, Surveyed]

_SHOWN = 3  # names, and changes
_REMEDY = "choose another name or --logdir, or set {} aside with --replace"


def refuse(definitions: Sequence[Definition], agenda: Agenda, store: Store) -> None:
    """Raise `StoreError` or `InputError` for what stands in the way of a run."""
    blocked = [item for item in agenda.items if item.state == "blocked"]
    if blocked:
        more = f" (and {len(blocked) - 1} more like this)" if len(blocked) > 1 else ""
        raise StoreError(f"{blocked[0].note}{more}")
    if problems := _outdated(definitions, agenda, store):
        raise InputError(problems)


def find_refusals(definitions: Sequence[Definition], agenda: Agenda, store: Store) -> list[Problem]:
    """Return everything that `refuse` would raise, and what would be refused later."""
    problems = _outdated(definitions, agenda, store)
    problems += _of_state("blocked", definitions, agenda)
    root = Place(f"--logdir {store.root}")
    if os.path.lexists(store.root) and not store.root.is_dir():
        problems.append(Problem(root, "", "is not a folder; choose another --logdir"))
    if agenda.set_aside:
        try:
            store.check_aside()
        except StoreError as error:
            problems.append(Problem(root, "", str(error)))
    return problems


def _outdated(definitions: Sequence[Definition], agenda: Agenda, store: Store) -> list[Problem]:
    """Return problems with finished runs that only --replace may take out of the way."""
    if agenda.policy.set_aside:
        return []
    changed: dict[tuple[Place, tuple[str, ...]], list[Pair]] = defaultdict(list)
    for definition, item in zip(definitions, agenda.items, strict=True):
        if item.state == "changed":
            place = _place_of(definition, item.changed[0])
            changed[place, item.changed].append((definition, item))
    return [
        *(_changed(place, names, those, store) for (place, names), those in changed.items()),
        *_of_state("newer", definitions, agenda, f", {_REMEDY.format('it')}"),
    ]


def _changed(place: Place, settings: tuple[str, ...], those: list[Pair], store: Store) -> Problem:
    definition, item = those[0]
    if len(those) == 1:
        name = item.experiment.run_name
        message = f"{store.folder(name)} is finished with other settings ({item.note})"
        return Problem(definition.place, name, f"{message}; {_REMEDY.format('it')}")
    changes = list(dict.fromkeys(item.note for _, item in those))
    notes = "; ".join(changes[:_SHOWN] + ["..."] * (len(changes) > _SHOWN))
    message = f"{counted(len(those), 'run')} in {store.root} are finished with other settings"
    message = f"{message} ({notes}): {_names(those)}; {_REMEDY.format('them')}"
    return Problem(place, settings[0], message)


def _of_state(
    state: State, definitions: Sequence[Definition], agenda: Agenda, remedy: str = ""
) -> Iterator[Problem]:
    """Yield a problem for each file that defines runs of this state."""
    by_file: dict[str, list[Pair]] = defaultdict(list)
    for definition, item in zip(definitions, agenda.items, strict=True):
        if item.state == state:
            by_file[definition.place.source].append((definition, item))
    for source, those in by_file.items():
        definition, item = those[0]
        message = f"{item.note}{remedy}"
        if len(those) == 1:
            yield Problem(definition.place, item.experiment.run_name, message)
        else:
            every = f"so for {counted(len(those), 'run')}: {_names(those)}"
            yield Problem(Place(source), "", f"{message}; {every}")


def _place_of(definition: Definition, setting: str) -> Place:
    """Return where a setting is written, or the file where it is left at its default."""
    is_written = any(keys[0] == setting for keys in definition.written)
    return definition.origin(setting).place if is_written else Place(definition.place.source)


def _names(those: Sequence[Pair]) -> str:
    return first_few([item.experiment.run_name for _, item in those], _SHOWN)
