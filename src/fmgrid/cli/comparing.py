"""`fmgrid compare`: two experiments, or two runs, over the seeds that both have."""

import json as json_format
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from fmgrid.analysis.statistics import Difference, Estimate, compare, estimate, holm
from fmgrid.analysis.study import (
    ESTIMATED,
    LABELS,
    UNKNOWN_SEED,
    Repeated,
    Study,
    are_confounded,
    are_scored_alike,
    images_of,
    show_level,
)
from fmgrid.cli.output import PIPE_WIDTH, console, put, say, warn
from fmgrid.cli.reporting import load_study
from fmgrid.cli.showing import some
from fmgrid.cli.tables import to_blocks
from fmgrid.errors import InputError, Place, Problem
from fmgrid.experiment import typed
from fmgrid.report.phrases import (
    is_fraction,
    show_difference,
    show_interval,
    show_p,
    show_value,
)
from fmgrid.words import counted, near_match, printable

_METRICS = (*ESTIMATED, "overfitting_gap")
_SEEDS_SHOWN = 10


@dataclass(frozen=True)
class Measured:
    """A metric of both over the seeds that both have, or over all of each where they share none."""

    first: Estimate
    second: Estimate
    difference: Difference | None  # second minus first
    p: float | None = None  # Holm's over the metrics


def find_repeated(names: Sequence[str], logdir: Path) -> list[Repeated]:
    """Return the experiments of these names, or single runs of them; their folders will do as well.

    Raises `InputError` if one has no complete run, or if they are the same runs.
    """
    studies: dict[Path, Study] = {}
    found = []
    for name in names:
        root, name_there = _split(name, logdir)
        if root not in studies:
            studies[root] = load_study(root, [])
            for text in (*studies[root].unread, *studies[root].uncounted):
                warn(text)
        found.append(_find(name_there, studies[root], root))
    one, other = found
    if one.runs == other.runs:
        raise _refusal(names[1], "that is the first of the two again; name another")
    if _is_part_of(one, other) or _is_part_of(other, one):
        raise _refusal(" ".join(names), "one of the two is a run of the other; name another")
    return found


def show_comparison(first: Repeated, second: Repeated, *, json: bool) -> None:
    """Print the settings in which two experiments differ, and their metrics, paired by seed."""
    names_of_settings = dict.fromkeys([*first.settings, *second.settings])
    differing = [
        name
        for name in names_of_settings
        if typed(_setting(first, name)) != typed(_setting(second, name))
    ]
    seeds = [seed for seed in first.runs if seed in second.runs and seed != UNKNOWN_SEED]
    measured = _measure(first, second, seeds)
    if json:
        print(json_format.dumps(_to_json(first, second, differing, seeds, measured), indent=2))
        return
    names = printable(first.name), printable(second.name)
    if differing:
        settings = [
            (n, show_level(_setting(first, n)), show_level(_setting(second, n))) for n in differing
        ]
        _put(("setting", *names), settings)
    else:
        print("the same configuration")
    print()
    head = ("metric", *names, "difference", "95% interval", "p")
    _put(head, [_to_cells(metric, found) for metric, found in measured.items()])
    _say_how_sure(first, second, seeds, measured)
    if are_confounded(first, second):
        images = f"{first.images_seen:,} and {second.images_seen:,} images seen"
        say(f"confounded with the amount of data: {images}")


def _split(name: str, logdir: Path) -> tuple[Path, str]:
    """Return the log folder in which a run or experiment is to be looked for, and its name.

    Raises `InputError` for what can be neither.
    """
    if Path(name).name == name:
        return logdir, name
    # Not Path.absolute, which leaves ".." as it is.
    path = Path(os.path.abspath(name))  # noqa: PTH100
    if os.path.islink(path):  # noqa: PTH114 - a run has the name of the folder itself
        path = Path(os.path.realpath(path))
    if path.parent == path.parent.parent and not os.path.lexists(
        path / f"{path.name}_results.toml"
    ):
        raise _refusal(name, "is no run: a log folder lies deeper; name a run or an experiment")
    is_folder = os.path.isdir(path.parent)  # noqa: PTH112 - Path.is_dir may raise
    return (path.parent, path.name) if is_folder else (logdir, name)


def _find(name: str, study: Study, root: Path) -> Repeated:
    if name in study.scored:
        return study.scored[name]
    for one in study.scored.values():
        for seed, row in one.runs.items():
            if name in (row["run"], row.get("folder"), f"{one.name}_s{seed}"):
                return replace(one, name=name, runs={seed: row}, curves={}, failures=())
    if not name:
        raise _refusal(name, "an empty name; name an experiment or a run")
    near = near_match(name, [*study.scored, *(row["run"] for row in study.rows)])
    hint = f"did you mean {near}?" if near else f"there are {some(list(study.scored))}"
    raise _refusal(name, f"no complete run or experiment in {root}; {hint}")


def _is_part_of(one: Repeated, other: Repeated) -> bool:
    return all(other.runs.get(seed) == row for seed, row in one.runs.items())


def _refusal(name: str, message: str) -> InputError:
    return InputError(
        [Problem(Place(f"fmgrid compare {printable(name) or repr(name)}"), "", message)]
    )


def _setting(one: Repeated, name: str) -> Any:
    return one.settings.get(name)


def _measure(first: Repeated, second: Repeated, seeds: Sequence[int]) -> dict[str, Measured]:
    """Return the metrics that both have, over *seeds* or, where there are none, over all."""
    found = {}
    for metric in _METRICS:
        both = [one.series(metric) for one in (first, second)]
        if seeds:
            both = [{seed: one[seed] for seed in seeds if seed in one} for one in both]
        if all(both):
            one, other = both
            is_comparable = seeds and are_scored_alike([first, second], metric)
            difference = compare(other, one) if is_comparable else None
            found[metric] = Measured(estimate(one.values()), estimate(other.values()), difference)
    tested = {
        m: one.difference
        for m, one in found.items()
        if one.difference and one.difference.sd is not None
    }
    corrected = holm([difference.p for difference in tested.values()])
    for metric, p in zip(tested, corrected, strict=True):
        found[metric] = replace(found[metric], p=p)
    return found


def _to_cells(metric: str, found: Measured) -> tuple[str, ...]:
    values = (show_value(one.mean, metric) for one in (found.first, found.second))
    difference = found.difference
    if difference is None:
        return LABELS[metric], *values, "", "", ""
    told = show_difference(difference.mean, metric) + (" points" if is_fraction(metric) else "")
    interval = show_interval(difference, metric)
    return LABELS[metric], *values, told, interval, show_p(found.p)


def _put(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, or where it is too wide a block of lines for each row: no figure is cut."""
    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(printable, row))
    target = console()
    wanted = target.measure(table, options=target.options.update(max_width=PIPE_WIDTH)).maximum
    if wanted <= target.width:
        put(table)
    else:
        print(to_blocks(head, [list(map(printable, row)) for row in rows]))


def _say_how_sure(
    first: Repeated,
    second: Repeated,
    seeds: Sequence[int],
    measured: Mapping[str, Measured],
) -> None:
    one, other = printable(first.name), printable(second.name)
    if not seeds:
        means = f"means of {counted(len(first.runs), 'run')} and of {len(second.runs)}"
        if other_images := _other_images(first, second):
            say(other_images)
            return
        say(f"they share no seed, and are not compared: {means}; give both the same --seeds")
        return
    if other_images := _other_images(first, second):
        say(other_images)
    if not any(found.difference for found in measured.values()):
        return
    alone = [
        f"{len(these.runs) - len(seeds)} of {name}"
        for these, name in ((first, one), (second, other))
        if len(these.runs) > len(seeds)
    ]
    left_out = f"; {' and '.join(alone)} left out" if alone else ""
    say(f"over {_seeds_in_words(seeds)}, paired{left_out}; differences are {other} minus {one}")
    differences = [found.difference for found in measured.values() if found.difference]
    if all(difference.is_none for difference in differences):
        say("identical in every run")
    elif len(seeds) == 1:
        advice = "" if left_out else "; --seeds 0,1,2,3,4 repeats them"
        say(f"one seed: nothing can be concluded{advice}")
    else:
        say("p values are Holm's over the metrics")


def _other_images(first: Repeated, second: Repeated) -> str:
    """Say why figures of two experiments are not compared; "" where they are."""
    if are_scored_alike([first, second]):
        return ""
    one, other = (f"{printable(one.name)} is scored on {images_of(one)}" for one in (first, second))
    return f"{one}, {other}: figures of different images are not compared"


def _seeds_in_words(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]} alone"
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):  # noqa: PLR2004
        return f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
    more = f" and {len(seeds) - _SEEDS_SHOWN} more" if len(seeds) > _SEEDS_SHOWN else ""
    return f"{len(seeds)} seeds, {', '.join(map(str, seeds[:_SEEDS_SHOWN]))}{more}"


def _to_json(
    first: Repeated,
    second: Repeated,
    differing: Sequence[str],
    seeds: Sequence[int],
    measured: Mapping[str, Measured],
) -> dict[str, Any]:
    return {
        "first": first.name,
        "second": second.name,
        "seeds": list(seeds),
        "settings": {name: [_setting(first, name), _setting(second, name)] for name in differing},
        "confounded": are_confounded(first, second),
        "not_compared": _other_images(first, second),
        "metrics": {
            metric: {
                "first": asdict(found.first),
                "second": asdict(found.second),
                "difference": found.difference and found.difference.to_json(),
                "p_holm": found.p,
            }
            for metric, found in measured.items()
        },
    }
