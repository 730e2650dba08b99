"""Runs of plain mltrainer -> experiments, since a folder with a time stamp has no name and no seed.

Runs of the same settings are repeats, wherever their folders lie. The settings that differ are the
name of an experiment. A run whose settings are not known is an experiment of its own.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Hashable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from fmgrid.experiment import typed
from fmgrid.results.mltrainer_logs import LoggedRun
from fmgrid.settings import SETTINGS, flatten, show

Settings: TypeAlias = Mapping[str, Any]

_LONGEST_NAME = 100  # characters
_UNSAFE = re.compile(r"[^\w.+=-]+")  # in a name


def to_experiments(
    runs: Mapping[str, LoggedRun], taken: Container[str] = ()
) -> dict[str, tuple[str, Settings]]:
    """Return the name of the experiment and the settings of each run, by its folder.

    The only run of all keeps the name of its folder. No name is one of those *taken*.
    """
    known = {folder: run for folder, run in runs.items() if run.has_settings}
    settings = {folder: run.settings for folder, run in runs.items()} | {**tell_apart(known)}
    groups: dict[Hashable, list[str]] = {}
    for folder in known:
        groups.setdefault(typed(settings[folder]), []).append(folder)
    names = {folder: folder for folder in runs}
    if len(known) > 1:
        proposed = _propose_names([*groups.values()], settings)
        used = {folder for folder in runs if folder not in known}
        for folders, name in zip(groups.values(), proposed, strict=True):
            free = next(each for each in _numbered(name) if each not in used and each not in taken)
            used.add(free)
            names |= dict.fromkeys(folders, free)
    return {folder: (names[folder], settings[folder]) for folder in runs}


def tell_apart(runs: Mapping[str, LoggedRun]) -> Mapping[str, Settings]:
    """Return the settings of each run, with the few details without which runs look alike.

    A layer's attribute that follows from a setting, such as its inputs, is none of them.
    """
    settings: dict[str, dict[str, Any]] = {folder: {**run.settings} for folder, run in runs.items()}
    parts: list[Hashable] = [typed(values) for values in settings.values()]
    for name in dict.fromkeys(chain.from_iterable(run.details for run in runs.values())):
        values = [run.details.get(name) for run in runs.values()]
        finer = [*zip(parts, map(typed, values), strict=True)]
        numbers = {part: number for number, part in enumerate(dict.fromkeys(finer))}
        if len(numbers) > len({*parts}):
            parts = [numbers[part] for part in finer]
            for folder, value in zip(runs, values, strict=True):
                settings[folder] |= {} if value is None else {name: value}
    return settings


def _propose_names(groups: Sequence[Sequence[str]], settings: Mapping[str, Settings]) -> list[str]:
    """Return a name for the runs of each group; that of a parent folder if this holds whole ones.

    The settings that tell it from networks with the same attributes are its name, if no other has
    it, and else those that tell it from all. Names may occur twice, and may be empty.
    """
    parents = [{PurePosixPath(folder).parent for folder in folders} for folders in groups]
    has_own_parent = all(len(of_group) == 1 for of_group in parents)
    places = [min(of_group) if has_own_parent else PurePosixPath() for of_group in parents]
    values = [flatten(settings[folders[0]]) for folders in groups]
    kinds = [(place, frozenset(own)) for place, own in zip(places, values, strict=True)]
    sizes, alike = Counter(kinds), _describe(values, kinds)
    shorts = Counter(zip(places, alike, strict=True))
    names = []
    described = zip(places, kinds, alike, _describe(values, places), strict=True)
    for place, kind, short, long in described:
        is_clear = sizes[kind] > 1 and shorts[place, short] == 1
        text = short if is_clear else long
        start = [*place.parts] if len({*places}) > 1 or not text else []
        name = "_".join(filter(None, [*start, text])) or "mltrainer"
        names.append(name[:_LONGEST_NAME].rstrip("_."))
    return names


def _describe(values: Sequence[Settings], sets: Sequence[Hashable]) -> list[str]:
    """Return the settings in which each differs from others of its set: "filters_8_dropout_0.1"."""
    members: dict[Hashable, list[Settings]] = defaultdict(list)
    for own, of_set in zip(values, sets, strict=True):
        members[of_set].append(own)
    labels = {of_set: _labels(others) for of_set, others in members.items()}
    return [
        "_".join(
            _UNSAFE.sub("_", f"{label}_{show(own[name])}").strip("_")
            for name, label in labels[of_set].items()
            if name in own
        )
        for own, of_set in zip(values, sets, strict=True)
    ]


def _labels(settings: Sequence[Settings]) -> dict[str, str]:
    """Return the settings that differ, with their last words if these are clear."""
    ordered = dict.fromkeys(chain(SETTINGS, *settings))
    differing = [name for name in ordered if len({typed(own.get(name)) for own in settings}) > 1]
    short = {name: name.partition(".")[2] or name for name in differing}
    taken = Counter(short.values())
    return {name: label if taken[label] == 1 else name for name, label in short.items()}


def _numbered(name: str) -> Iterator[str]:
    """Yield a name, and then the same with numbers."""
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1
