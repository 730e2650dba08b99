"""What captions share: over how many seeds means are, and what bars mean."""

from collections.abc import Iterable

from fmgrid.words import counted

UNMEASURED = " without an accuracy"


def over_seeds(counts: Iterable[int]) -> str:
    """Say over how many seeds means are: "over 10 seeds", "over 1 to 3 seeds"."""
    fewest, most = min(counts := set(counts)), max(counts)
    return f"over {counted(most, 'seed')}" if fewest == most else f"over {fewest} to {most} seeds"


def intervals(counts: Iterable[int], mean: str = "bars are 95% intervals") -> str:
    """Say what intervals look like, and over how many seeds they are."""
    counts = set(counts)
    if counts == {1}:
        return "one run each, so that there are no intervals"
    return f"{mean} {over_seeds(counts)}{' (of one run there is none)' if 1 in counts else ''}"


def left_out(number: int, noun: str, which: str = "") -> str:
    """Return a sentence on what a picture leaves out, nothing where that is none."""
    return f" {counted(number, noun)}{which} left out." if number else ""
