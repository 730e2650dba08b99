"""Figures in words: percentages, points, intervals, counted things. Names are escaped."""

from collections.abc import Sequence

from fmgrid.analysis.statistics import Difference, Estimate
from fmgrid.metrics import METRICS
from fmgrid.pages.document import Cell, Column, code

MINUS = "\N{MINUS SIGN}"
NAMES_SHOWN = 6

_SURE = 0.001


def is_fraction(metric: str) -> bool:
    """Return whether a metric is a fraction, which people read as a percentage."""
    return metric.endswith("accuracy")


def show_value(value: float | None, metric: str) -> str:
    """Write a metric: 83.17%, or 0.4821 where it is a loss."""
    if value is None:
        return ""
    text = f"{value:.2%}" if is_fraction(metric) else f"{round(value, 4) + 0.0:.4f}"
    return text.replace("-", MINUS)


def show_difference(value: float | None, metric: str) -> str:
    """Write a difference with its sign: +1.23 points, or +0.0123."""
    if value is None:
        return ""
    text = f"{100 * value:+.2f}" if is_fraction(metric) else f"{value:+.4f}"
    return text.replace("-", MINUS)


def show_size(value: float, metric: str) -> str:
    """Write the size of a difference with its unit."""
    text = f"{100 * value:.1f} points" if is_fraction(metric) else f"{value:.3f}"
    return text.replace("-", MINUS)


def with_interval(found: Estimate | None, metric: str) -> str:
    """Write a mean with its interval: 83.17% [82.53%, 83.81%]."""
    if found is None:
        return ""
    mean = show_value(found.mean, metric)
    interval = show_interval(found, metric)
    return f"{mean} {interval}" if interval else mean


def show_interval(found: Estimate | None, metric: str) -> str:
    """Write an interval of a mean, nothing where there is but one value."""
    if found is None or found.low is None or found.high is None:
        return ""
    return f"[{show_value(found.low, metric)}, {show_value(found.high, metric)}]"


def difference_with_interval(found: Difference | None, metric: str) -> str:
    """Write a difference with its interval: +1.23 [+0.52, +1.94]."""
    if found is None:
        return ""
    return f"{show_difference(found.mean, metric)} {interval_of_difference(found, metric)}".rstrip()


def interval_of_difference(found: Difference, metric: str) -> str:
    """Write the interval of a difference, nothing where there is but one: [+0.52, +1.94]."""
    if found.low is None:
        return ""
    return f"[{show_difference(found.low, metric)}, {show_difference(found.high, metric)}]"


def unit_of(metric: str) -> str:
    """Return the unit of differences, for the head of a column."""
    return "points" if is_fraction(metric) else METRICS[metric].label


def show_p(p: float | None) -> str:
    """Write a p value."""
    if p is None:
        return ""
    return "<0.001" if p < _SURE else f"{p:.3f}"


def listed(words: Sequence[str]) -> str:
    """Write "a, b and c"."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def some(names: Sequence[str]) -> str:
    """Write the first few names as code, and how many more there are."""
    shown = [code(name) for name in names[:NAMES_SHOWN]]
    more = len(names) - len(shown)
    return listed([*shown, f"{more} more"] if more > 0 else shown)


def number(title: str) -> Column:
    """Return a column of figures."""
    return Column(title, "right")


def figure(text: str, order: float | None) -> Cell:
    """Return a cell that sorts by its figure, wherever it stands in the text."""
    return Cell(text, order)
