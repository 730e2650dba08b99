"""A document -> Markdown as GitHub shows it, and as one reads it in an editor."""

import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from fmgrid.pages.contents import Entry, to_entries
from fmgrid.pages.document import (
    Block,
    Code,
    Document,
    Items,
    Picture,
    Table,
    Text,
    fence_around,
    plain,
    visible_lines,
)

# What would begin a heading, a quotation, a fence, a list or a rule, were it the first of a line:
# a backslash between the digits, if any, and what follows makes it text.
_BEGINNING = re.compile(r"\d{1,9}(?=[.)](?:\s|$))|(?=[#>]|~~~|[-+*](?:\s|$)|--)")
_NARROWEST = 3  # dashes that every reader takes for the line below the heads


def to_markdown(document: Document) -> str:
    """Return the document as Markdown; its pictures are files in `visualizations/` beside it."""
    entries = to_entries(document)
    parts = [f"# {plain(document.title)}"]
    if document.lead:
        parts.append(_paragraph(document.lead))
    parts.append("\n".join(_contents(entries)))
    for entry in entries:
        parts += _section(entry, level=2)
    if document.footer:
        parts += ["---", _paragraph(document.footer)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _contents(entries: Iterable[Entry], indent: str = "") -> Iterator[str]:
    for entry in entries:
        yield f"{indent}- [{plain(entry.section.title)}](#{quote(entry.anchor)})"
        yield from _contents(entry.entries, indent + "  ")


def _section(entry: Entry, level: int) -> Iterator[str]:
    yield f"{'#' * level} {plain(entry.section.title)}"
    yield from map(_block, entry.section.blocks)
    for inner in entry.entries:
        yield from _section(inner, level + 1)


def _block(block: Block) -> str:
    match block:
        case Text(markdown):
            return _paragraph(markdown)
        case Items(items):
            return "\n".join(f"- {_paragraph(item)}" for item in items)
        case Table():
            return f"{_italic(block.caption)}\n\n{_table(block)}"
        case Picture():
            path = f"visualizations/{quote(block.name)}.png"
            return f"![{plain(block.title)}]({path})\n\n{_italic(block.caption)}"
        case Code(text, language):
            fence = fence_around(text, 3)
            return "\n".join((f"{fence}{language}", *visible_lines(text), fence))


def _table(table: Table) -> str:
    heads = (plain(column.title) for column in table.columns)
    texts = [heads, *((cell.text for cell in row) for row in table.rows)]
    columns = zip(*(map(_cell, line) for line in texts), strict=True)
    shown = [
        _column(texts, at_right=column.align == "right")
        for column, texts in zip(table.columns, columns, strict=True)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in zip(*shown, strict=True))


def _column(texts: Sequence[str], *, at_right: bool) -> list[str]:
    """Return the texts of a column as wide as one another, with the rule below the head."""
    width = max(_NARROWEST, *map(len, texts))
    head, *cells = (text.rjust(width) if at_right else text.ljust(width) for text in texts)
    return [head, f"{'-' * (width - 1)}{':' if at_right else '-'}", *cells]


def _paragraph(markdown: str) -> str:
    """Return inline Markdown on a line of its own, which does not make another block of it."""
    line = _one_line(markdown)
    beginning = _BEGINNING.match(line)
    return line if beginning is None else f"{beginning[0]}\\{line[beginning.end() :]}"


def _italic(markdown: str) -> str:
    return f"_{_one_line(markdown)}_"


def _cell(markdown: str) -> str:
    # A reader splits a row at bars before it sees any markup, and takes one backslash off.
    return _one_line(markdown).replace("|", r"\|")


def _one_line(markdown: str) -> str:
    return " ".join(markdown.split())
