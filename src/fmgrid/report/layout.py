"""Sections and tables without their empty parts."""

import re
from collections.abc import Iterable, Mapping, Sequence

from fmgrid.pages.document import Block, Column, Items, Section, Table, Text

LONG = 12  # rows, beyond which a table is folded

# A cell of figures, which stands on the right: 3, -0.5, 1e-05, <0.001, 83.17% [82.53%, 83.81%]
_FIGURES = re.compile(r"\**[<+\N{MINUS SIGN}-]?\d[\d,.]*(e[+-]?\d+)?%?( \[.*\])?\**")


def section(
    title: str, *blocks: Block | str | Sequence[str] | None, inner: Iterable[Section] = ()
) -> Section:
    """Return a section: text becomes a paragraph, several texts a list; None is left out."""
    return Section(title, tuple(_block(block) for block in blocks if block), tuple(inner))


def _block(block: Block | str | Sequence[str]) -> Block:
    if isinstance(block, str):
        return Text(block)
    return Items(tuple(block)) if isinstance(block, Sequence) else block


def table(caption: str, rows: Sequence[Mapping[str, str]]) -> Table | None:
    """Return a table of rows that give their cells by column, None of no rows.

    Empty columns are left out, and a long table is folded.
    """
    if not rows:
        return None
    titles = [title for title in rows[0] if any(row[title] for row in rows)]
    columns = tuple(_column(title, [row[title] for row in rows]) for title in titles)
    cells = tuple(tuple(row[title] for title in titles) for row in rows)
    return Table(columns, cells, caption, folded=len(rows) > LONG)


def _column(title: str, cells: Iterable[str]) -> Column:
    are_figures = all(_FIGURES.fullmatch(cell) for cell in cells if cell)
    return Column(title, "right" if are_figures else "left")
