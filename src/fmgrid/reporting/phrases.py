"""Figures in words, names as code, and sections and tables without their empty parts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from fmgrid.analysis.statistics import ALPHA, Difference, Estimate
from fmgrid.metrics import metric_of
from fmgrid.pages.document import Block, Column, Section, Table, code
from fmgrid.words import first_few

MINUS = "\N{MINUS SIGN}"
NAMES_SHOWN = 6

_SMALLEST_P = 0.001
_LONG = 12  # rows, beyond which a table is folded

# A cell of figures, which stands on the right: 3, -0.5, 1e-05, <0.001, 83.17% [82.53%, 83.81%]
_FIGURES = re.compile(r"\**[<+\N{MINUS SIGN}-]?\d[\d,.]*(e[+-]?\d+)?%?( \[.*\])?\**")


def show_value(value: float | None, metric: str) -> str:
    """Write a metric: 83.17%, or 0.4821 for a loss."""
    if value is None:
        return ""
    text = f"{value:.2%}" if metric_of(metric).is_fraction else f"{round(value, 4) + 0.0:.4f}"
    return text.replace("-", MINUS)


def show_difference(value: float | None, metric: str) -> str:
    """Write a difference with its sign: +1.23 (points), or +0.0123 for a loss."""
    if value is None:
        return ""
    size, digits = (100 * value, 2) if metric_of(metric).is_fraction else (value, 4)
    text = f"{round(size, digits) + 0.0:+.{digits}f}"  # no minus before zero
    return text.replace("-", MINUS)


def show_size(value: float, metric: str, unit: str = " points") -> str:
    """Write the size of a difference: 1.2 points, or 0.012 for a loss."""
    return f"{100 * value:.1f}{unit}" if metric_of(metric).is_fraction else f"{value:.3f}"


def show_interval(result: Estimate | Difference | None, metric: str) -> str:
    """Write an interval, nothing if there is a single value: [82.53%, 83.81%]."""
    if result is None or result.low is None or result.high is None:
        return ""
    show = show_difference if isinstance(result, Difference) else show_value
    return f"[{show(result.low, metric)}, {show(result.high, metric)}]"


def with_interval(result: Estimate | Difference | None, metric: str) -> str:
    """Write a mean or a difference with its interval: 83.17% [82.53%, 83.81%]."""
    if result is None:
        return ""
    show = show_difference if isinstance(result, Difference) else show_value
    return f"{show(result.mean, metric)} {show_interval(result, metric)}".rstrip()


def unit_of(metric: str) -> str:
    """Return the unit of differences, for the head of a column."""
    return "points" if metric_of(metric).is_fraction else metric_of(metric).label


def show_p(p: float | None) -> str:
    """Write a p value."""
    if p is None:
        return ""
    return f"<{_SMALLEST_P}" if p < _SMALLEST_P else f"{p:.3f}"


def bold_if(is_significant: bool, text: str) -> str:
    """Write a cell in bold if it is significant."""
    return f"**{text}**" if text and is_significant else text


def difference_cells(
    title: str, difference: Difference | None, p: float, metric: str
) -> dict[str, str]:
    """Return the cells of a difference with its interval and p value, by column."""
    known_p = p if difference and difference.sd is not None else None
    return {
        f"{title} ({unit_of(metric)})": bold_if(p <= ALPHA, with_interval(difference, metric)),
        "p": bold_if(p <= ALPHA, show_p(known_p)),
    }


def some(names: Sequence[str]) -> str:
    """Write the first few names as code, and the number of the others."""
    return first_few([code(name) for name in names], NAMES_SHOWN)


def section(title: str, *blocks: Block | None, level: Literal[2, 3] = 2) -> Section:
    """Return a section without the blocks that are None or empty."""
    return Section(title, tuple(block for block in blocks if block), level)


def folded(whole: Section) -> Section:
    """Return a section that the page shows after a click on its heading."""
    return replace(whole, folded=True)


def table(caption: str, rows: Sequence[Mapping[str, str]]) -> Table | None:
    """Return a table of rows that give their cells by column, None of no rows.

    Empty columns are left out, and a long table is folded.
    """
    if not rows:
        return None
    cells = {title: [row.get(title, "") for row in rows] for title in rows[0]}
    cells = {title: column for title, column in cells.items() if any(column)}
    columns = [
        Column(title, "right" if all(map(_FIGURES.fullmatch, filter(None, column))) else "left")
        for title, column in cells.items()
    ]
    lines = tuple(zip(*cells.values(), strict=True))
    return Table(tuple(columns), lines, caption, folded=len(rows) > _LONG)
