"""What the captions share: figures with their units, counts, lists, what a bar means."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from fmgrid.analysis.statistics import Estimate
from fmgrid.analysis.study import Repeated, images_of, show_level
from fmgrid.words import counted, printable, without_middle

T = TypeVar("T")

_LONGEST = 60  # characters of a name in a caption


def percent(fraction: float) -> str:
    """Write a fraction as people do: 84.2%."""
    return f"{100 * fraction:.1f}%"


def points(fraction: float) -> str:
    """Write a difference of fractions in percentage points, without a minus before zero."""
    return f"{round(100 * fraction, 1) + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")


def percent_of(found: Estimate) -> str:
    """Write a mean with its interval: 84.2% (83.9 to 84.5)."""
    if found.low is None or found.high is None:
        return percent(found.mean)
    return f"{percent(found.mean)} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def listed(names: Iterable[str], limit: int = 6) -> str:
    """Write names as a sentence does: a, b and c; the rest of too many are counted."""
    shown = [named(name) for name in names]
    if len(shown) > limit:
        shown[limit - 1 :] = [f"{len(shown) - limit + 1} more"]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def named(name: str) -> str:
    """Write a name so that it is safe to show and not too long."""
    return without_middle(printable(name), _LONGEST)


def at_level(setting: str, level: object) -> str:
    """Write a level with its setting: batch_size 128."""
    return named(f"{setting} {show_level(level)}")


def over(numbers: Iterable[int]) -> str:
    """Say over how many seeds means are: "10 seeds", "1 to 3 seeds"."""
    found = set(numbers)
    if len(found) == 1:
        return counted(found.pop(), "seed")
    return f"{min(found)} to {max(found)} seeds"


def repeats(members: Iterable[Repeated], metric: str) -> str:
    """Say over how many seeds the experiments' means are."""
    return over(number for one in members if (number := len(one.series(metric))))


def have_intervals(members: Iterable[Repeated], metric: str) -> bool:
    """Return whether any experiment has the repeats that an interval takes."""
    return any(len(member.series(metric)) > 1 for member in members)


def by_images(members: Sequence[T], judged: Callable[[T], Repeated]) -> list[tuple[str, list[T]]]:
    """Return the members that the same images judge together, after words that name the images.

    In the order of the members; no words are needed where all are judged alike.
    """
    sets: dict[object, list[T]] = {}
    for member in members:
        sets.setdefault(judged(member).scored_on, []).append(member)
    ordered = sorted(sets.values(), key=lambda same: -len(same))
    several = len(ordered) > 1
    return [
        (f"Scored on {images_of(judged(same[0]))}: " if several else "", same) for same in ordered
    ]


def meaning_of_bars(members: Sequence[Repeated], metric: str) -> str:
    """Say what is drawn of the experiments: means with intervals, or single runs."""
    if not have_intervals(members, metric):
        return "There is one run of each, so that no intervals can be drawn."
    alone = sum(len(member.series(metric)) == 1 for member in members)
    less = f" ({counted(alone, 'experiment')} with one run {'has' if alone == 1 else 'have'} none)"
    seeds = repeats(members, metric)
    return f"Bars are 95% intervals of the mean over {seeds}{less if alone else ''}."
