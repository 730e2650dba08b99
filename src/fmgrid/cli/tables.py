"""Tables for a terminal of any width: names are shortened but stay distinct, figures are whole."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from rich.cells import cell_len
from rich.table import Table

from fmgrid.cli.output import PIPE_WIDTH
from fmgrid.words import printable, shortened

Rows: TypeAlias = Sequence[Sequence[str]]

_GAP = 2  # columns of the terminal between two of a table
_SHORTEST_NAME = 12
_SHORTEST_TITLE = 6


def to_lines(
    head: Sequence[str],
    names: Sequence[str],
    rows_of: Callable[[Callable[[str], str]], Rows],
    width: int,
) -> Table | str:
    """Return a table that fits into *width*, or text with a block for each row if none does.

    *rows_of* gets a function that shortens *names*, and returns the rows with them; each row
    begins with the name that it is about. Other cells may wrap at spaces, and are never cut.
    """
    longest = max(map(len, names), default=0)

    def rows_at(limit: int) -> Rows:
        short = shortened(names, limit)
        rows = rows_of(lambda name: short.get(name, name))
        return [list(map(printable, row)) for row in rows]

    rows = rows_at(longest)
    whole = _widths(head, rows, _longest_cell)
    if width >= PIPE_WIDTH or _total(whole) <= width:
        return _to_table(head, rows)
    least = min(longest, _SHORTEST_NAME)
    for measure in (_longest_cell, _longest_word):
        if _total(_least_widths(head, rows_at(least), measure)) <= width:
            limit = _largest(
                lambda limit, measure=measure: (
                    _total(  # type: ignore[misc]
                        _least_widths(head, rows_at(limit), measure)
                    )
                    <= width
                ),
                least,
                longest if measure is _longest_cell else least,
            )
            rows = rows_at(limit)
            widths = _least_widths(head, rows, measure)
            # Cells that need not wrap come before titles that need not be cut.
            for title in ((), head):
                wanted = _widths(title or [""] * len(head), rows, _longest_cell)
                widths = _grown(widths, wanted, width)
            return _to_table(head, rows, widths)
    return to_blocks(head, rows)


def _to_table(head: Sequence[str], rows: Rows, widths: Sequence[int | None] = ()) -> Table:
    table = Table(box=None, pad_edge=False)
    for index, title in enumerate(head):
        table.add_column(title, width=widths[index] if widths else None, no_wrap=index == 0)
    for row in rows:
        table.add_row(*row)
    return table


def to_blocks(head: Sequence[str], rows: Rows) -> str:
    """Return a line with each row's name, and below it a line for every other cell."""
    across = max(map(len, head))
    lines = []
    for first, *others in rows:
        lines.append(first)
        titled = zip(head[1:], others, strict=True)
        lines += [f"  {title:{across}}  {cell}" for title, cell in titled if cell]
    return "\n".join(lines)


def _widths(head: Sequence[str], rows: Rows, measure: Callable[[str], int]) -> list[int]:
    columns = zip(*rows, strict=True) if rows else [() for _ in head]
    return [
        max([cell_len(title), *map(measure, cells)])
        for title, cells in zip(head, columns, strict=True)
    ]


def _least_widths(head: Sequence[str], rows: Rows, measure: Callable[[str], int]) -> list[int]:
    """Return the widths that leave all cells whole; titles may be cut."""
    first, *others = head
    short = [first, *(title[:_SHORTEST_TITLE] for title in others)]
    widths = _widths(short, rows, measure)
    return [max(widths[0], *(cell_len(row[0]) for row in rows)) if rows else widths[0], *widths[1:]]


def _grown(widths: Sequence[int], wanted: Sequence[int], width: int) -> list[int]:
    """Give what room is left to the columns that want least more."""
    grown = list(widths)
    room = width - _total(widths)
    for index in sorted(range(len(widths)), key=lambda index: wanted[index] - widths[index]):
        more = max(0, min(room, wanted[index] - widths[index]))
        grown[index] += more
        room -= more
    return grown


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _longest_cell(text: str) -> int:
    return cell_len(text)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _largest(fits: Callable[[int], bool], low: int, high: int) -> int:
    """Return the largest number up to *high* that fits, if *low* does."""
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low
