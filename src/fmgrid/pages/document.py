"""What a page says: a document, its sections and their blocks, as values.

Titles are text as it is. All else that is written for people is inline Markdown: `code`,
**bold**, *italic* and [links](#); what comes from elsewhere is put into it by `plain` or `code`.
"""

import re
from dataclasses import dataclass
from typing import Literal

from fmgrid.words import printable

# The colour of text and axes in an SVG, which the page replaces by that of its own text.
INK = "#010203"

# What means something within a line: an underscore inside a word does not, and stays readable.
_MARKUP = re.compile(r"[\\`*\[\]<>&|~$!#]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.I)


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    markdown: str


@dataclass(frozen=True)
class Items:
    """A list of points."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """The head of a column, and where its cells stand: numbers on the right."""

    title: str
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Cell:
    """One value of a table, and its place when readers sort by its column."""

    text: str
    order: float | str | None = None  # None: the text as shown; "" and nan: last


@dataclass(frozen=True)
class Table:
    """Rows of as many cells as there are columns; the first of a row says what the row is of."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str
    folded: bool = False  # in HTML shown on demand, its caption is what one clicks on


@dataclass(frozen=True)
class Picture:
    """A plot: a file beside the Markdown, and part of the HTML itself."""

    name: str  # of the file, without its ending; no two pictures of a document share it
    title: str  # what those hear who cannot see it
    caption: str  # what is to be seen
    svg: str  # as matplotlib writes it, transparent, text and axes in INK


@dataclass(frozen=True)
class Code:
    """Lines to be shown as they are: a command, and what it prints."""

    text: str
    language: str = "console"


Block = Text | Items | Table | Picture | Code


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it; sections of a section have none of their own."""

    title: str
    blocks: tuple[Block, ...]
    sections: tuple["Section", ...] = ()


@dataclass(frozen=True)
class Document:
    """A page."""

    title: str
    lead: str  # the paragraph that says it all
    sections: tuple[Section, ...]
    footer: str = ""


def plain(text: str) -> str:
    """Return inline Markdown that shows any text as it is, on one line; it may stand in a table."""
    return _MARKUP.sub(r"\\\g<0>", on_one_line(text))


def code(text: str) -> str:
    """Return inline Markdown that shows any text as `code`, on one line; nothing for no text."""
    shown = on_one_line(text)
    if not shown:
        return ""
    fence = fence_around(shown, 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def on_one_line(text: str) -> str:
    """Return text with every run of spaces and line ends as one space, and all of it visible."""
    return printable(" ".join(text.split()))


def visible_lines(text: str) -> list[str]:
    """Return the lines of a text, all of it visible."""
    return [printable(line) for line in text.expandtabs().splitlines()]


def fence_around(text: str, shortest: int) -> str:
    """Return more backticks than stand together anywhere in *text*."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(shortest, longest + 1)
