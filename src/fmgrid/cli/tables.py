"""Tables for a terminal of any width: names are shortened but stay distinct, figures are whole."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from fmgrid.cli.output import PIPE_WIDTH, console
from fmgrid.words import printable, shortened

Rows: TypeAlias = Sequence[Sequence[str]]

_GAP = 2  # columns of the terminal between two of a table
_SHORTEST_NAME = 12
_SHORTEST_TITLE = 5


def print_rows(head: Sequence[str], rows: Rows, names: Collection[str] = ()) -> None:
    """Print rows as a table, or in blocks of lines where the terminal is too narrow.

    Each row begins with the name that it is about. The *names* in all cells are shortened as far
    as needed. Other cells may wrap at spaces, and are never cut.
    """
    target = console()
    with target.capture() as capture:
        target.print(_lay_out(head, rows, names, target.width), soft_wrap=True)
    lines = (line.rstrip() for line in capture.get().splitlines())  # filled up with spaces
    print("\n".join(lines))


def count_fitting(head: Sequence[str], rows: Rows) -> int:
    """Return how many columns fit on the terminal with a short name and cells that do not wrap."""
    widths = _widths([title[:_SHORTEST_TITLE] for title in head], rows, cell_len)
    widths[0] = min(widths[0], _SHORTEST_NAME)
    width = console().width
    return sum(_total(widths[:number]) <= width for number in range(1, len(head) + 1))


def _lay_out(
    head: Sequence[str], rows: Rows, names: Collection[str], width: int
) -> Table | Text | str:
    longest = max(map(len, names), default=0)
    least = min(longest, _SHORTEST_NAME)
    titles = [head[0], *(title[:_SHORTEST_TITLE] for title in head[1:])]

    def rows_at(limit: int) -> Rows:
        short_names = shortened(names, limit)
        return [[printable(_shorten(cell, short_names)) for cell in row] for row in rows]

    def is_too_wide(limit: int) -> bool:
        return _total(_widths(titles, rows_at(limit), cell_len)) > width

    whole = rows_at(longest)
    if width >= PIPE_WIDTH or _total(_widths(head, whole, cell_len)) <= width:
        return _to_lines(head, whole)
    longer = range(least + 1, longest + 1)
    cells = rows_at(least + bisect_left(longer, True, key=is_too_wide))
    widths = _widths(titles, cells, _longest_word)
    if _total(widths) > width:
        return _to_blocks(head, whole)
    # Cells that need not wrap come before titles that need not be cut.
    for wanted in (_widths(titles, cells, cell_len), _widths(head, cells, cell_len)):
        widths = _widen(widths, wanted, width)
    return _to_table(head, cells, widths)


def _shorten(cell: str, names: dict[str, str]) -> str:
    return names.get(cell) or " ".join(names.get(word, word) for word in cell.split(" "))


def _to_lines(head: Sequence[str], rows: Rows) -> Text:
    """Return a table whose cells need not wrap; rich's own takes seconds for 10,000 rows."""
    widths = _widths(head, rows, cell_len)
    heading, *lines = (
        (" " * _GAP).join(
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        )
        for row in (head, *rows)
    )
    return Text.assemble((heading, "bold"), "".join(f"\n{line}" for line in lines))


def _to_table(head: Sequence[str], rows: Rows, widths: Sequence[int]) -> Table:
    table = Table(box=None, pad_edge=False)
    for index, (title, width) in enumerate(zip(head, widths, strict=True)):
        table.add_column(title, width=width, no_wrap=index == 0)
    for row in rows:
        table.add_row(*row)
    return table


def _to_blocks(head: Sequence[str], rows: Rows) -> str:
    """Return a line with each row's name, and below it a line for every other cell."""
    title_width = max(map(len, head))
    lines = []
    for name, *cells in rows:
        titled = zip(head[1:], cells, strict=True)
        lines += [name, *(f"  {title:{title_width}}  {cell}" for title, cell in titled if cell)]
    return "\n".join(lines)


def _widths(titles: Sequence[str], rows: Rows, measure: Callable[[str], int]) -> list[int]:
    """Return the widths of columns whose cells have those of *measure*, or of whole names."""
    return [
        max([cell_len(title), *map(measure if index else cell_len, cells)])
        for index, (title, *cells) in enumerate(zip(titles, *rows, strict=True))
    ]


def _widen(widths: Sequence[int], wanted: Sequence[int], width: int) -> list[int]:
    """Give the room that is left to the columns that want least more."""
    widened = list(widths)
    room = width - _total(widths)
    for index in sorted(range(len(widths)), key=lambda index: wanted[index] - widths[index]):
        more = max(0, min(room, wanted[index] - widths[index]))
        widened[index] += more
        room -= more
    return widened


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)
