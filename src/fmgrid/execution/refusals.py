"""What keeps a grid from being run: all reasons at once, each with its place."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence

from fmgrid.errors import InputError, Place, Problem, StoreError
from fmgrid.grid import Definition, Plan
from fmgrid.results.store import Store
from fmgrid.search import Agenda, AgendaItem, Policy, make_agenda
from fmgrid.words import counted, first_few

_NAMES_SHOWN = 3
_REMEDY = "choose another name or --logdir, or set it aside with --replace"


def make_checked_agenda(plan: Plan, store: Store, policy: Policy) -> Agenda:
    """Decide what run trains. Raises `StoreError` or `InputError` for runs that are in the way."""
    agenda = make_agenda((definition.experiment for definition in plan.definitions), store, policy)
    blocked = [item.note for item in agenda.items if item.state == "blocked"]
    if blocked:
        more = f" (and {len(blocked) - 1} more like this)" if len(blocked) > 1 else ""
        raise StoreError(f"{blocked[0]}{more}")
    if problems := [*_find_blocked(plan.definitions, agenda, store)]:
        raise InputError(problems)
    return agenda


def find_refusals(definitions: Sequence[Definition], agenda: Agenda, store: Store) -> list[Problem]:
    """Return everything that run would refuse, at once or later."""
    problems = [*_find_blocked(definitions, agenda, store)]
    root = Place(f"--logdir {store.root}")
    if os.path.lexists(store.root) and not store.root.is_dir():
        problems.append(Problem(root, "", "is not a folder; choose another --logdir"))
    if agenda.set_aside:
        try:
            store.check_aside()
        except StoreError as error:
            problems.append(Problem(root, "", str(error)))
    return problems


def _find_blocked(
    definitions: Sequence[Definition], agenda: Agenda, store: Store
) -> Iterator[Problem]:
    """Yield a problem for all runs that are refused for one reason."""
    refused = {"blocked"} if agenda.policy.set_aside else {"blocked", "changed", "newer"}
    causes = defaultdict(list)
    for definition, item in zip(definitions, agenda.items, strict=True):
        if item.state in refused:
            cause = _place_of(definition, item), item.changed, item.state
            causes[cause].append((definition, item))
    for (place, changed, state), pairs in causes.items():
        definition, item = pairs[0]
        name = item.experiment.run_name
        message = item.note
        if state == "changed":
            message = f"{store.folder(name)} is finished with other settings ({item.note})"
        if state != "blocked":
            message = f"{message}; {_REMEDY}"
        if len(pairs) == 1:
            yield Problem(definition.place, name, message)
        else:
            names = first_few([item.experiment.run_name for _, item in pairs], _NAMES_SHOWN)
            runs = f"so for {counted(len(pairs), 'run')}: {names}"
            yield Problem(place, "".join(changed[:1]), f"{message}; {runs}")


def _place_of(definition: Definition, item: AgendaItem) -> Place:
    """Return the place of the first changed setting; the file where none is written."""
    for setting in item.changed[:1]:
        if any(keys[0] == setting for keys in definition.written):
            return definition.origin(setting).place
    return Place(definition.place.source)
