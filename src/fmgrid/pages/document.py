"""A document as values: sections of paragraphs, lists, tables, pictures and code.

Titles are text as it is. Everything else that people read is inline Markdown: `code`, **bold**,
*italic* and [links](#). Text from elsewhere is put into it by `plain` or `code`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fmgrid.words import printable

# The colour of text and axes in an SVG, which the page replaces by the colour of its own text.
INK = "#010203"

# Characters with a meaning within a line; an underscore inside a word has none, and stays readable.
_MARKUP = re.compile(r"[\\`*\[\]<>&|~$!#]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.I)


@dataclass(frozen=True)
class Column:
    """The head of a column, and the side on which its cells stand: figures on the right."""

    title: str
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Table:
    """Rows with a cell for each column; the first cell names the row."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str
    folded: bool = False  # in HTML: shown after a click on the caption


@dataclass(frozen=True)
class Picture:
    """A plot: a file beside the Markdown, and part of the HTML itself."""

    name: str  # of the file, without its ending; unique in a document
    title: str  # for readers who cannot see the picture
    caption: str
    svg: str  # as matplotlib writes it, transparent, text and axes in INK


@dataclass(frozen=True)
class Code:
    """Lines that are shown as they are: commands, and their output."""

    text: str


Block: TypeAlias = (
    str | Sequence[str] | Table | Picture | Code
)  # a text is a paragraph, several a list


@dataclass(frozen=True)
class Section:
    """A heading with its blocks."""

    title: str
    blocks: tuple[Block, ...]
    level: Literal[2, 3] = 2  # of the heading: 3 is a part of the section before it
    folded: bool = False  # in HTML: shown after a click on the heading


@dataclass(frozen=True)
class Document:
    """A page."""

    title: str
    lead: str  # the paragraph below the title
    sections: tuple[Section, ...]
    footer: str = ""


def plain(text: str) -> str:
    """Return inline Markdown that shows any text as it is, on one line, in a table too."""
    return _MARKUP.sub(r"\\\g<0>", on_one_line(text))


def code(text: str) -> str:
    """Return inline Markdown that shows any text as `code`, on one line; "" for an empty text."""
    line = on_one_line(text)
    if not line:
        return ""
    fence = fence_around(line, 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def on_one_line(text: str) -> str:
    """Return text on one line with single spaces, control characters escaped."""
    return printable(" ".join(text.split()))


def fence_around(text: str, shortest: int) -> str:
    """Return more backticks than stand together anywhere in *text*."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(shortest, longest + 1)
