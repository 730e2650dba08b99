"""A document -> Markdown that reads well on GitHub and in an editor."""

import re
from urllib.parse import quote

from fmgrid.pages.document import (
    Block,
    Code,
    Document,
    Entry,
    Items,
    Picture,
    Table,
    Text,
    fence_around,
    plain,
    to_entries,
    visible_lines,
)

# The beginning of a heading, a quotation, a fence, a list or a rule: a backslash after the digits,
# if any, makes it text.
_BEGINNING = re.compile(r"\d{1,9}(?=[.)](?:\s|$))|(?=[#>]|~~~|[-+*](?:\s|$)|--)")
_NARROWEST = 3  # dashes that every reader accepts below a head


def to_markdown(document: Document) -> str:
    """Return the document as Markdown; its pictures are files in `visualizations/` beside it."""
    entries = to_entries(document)
    parts = [f"# {plain(document.title)}", _paragraph(document.lead)]
    parts.append("\n".join(map(_link, entries)))
    for section, _, level in entries:
        parts += [f"{'#' * level} {plain(section.title)}", *map(_block, section.blocks)]
    if document.footer:
        parts += ["---", _paragraph(document.footer)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _link(entry: Entry) -> str:
    indent = "  " * (entry.level - 2)
    return f"{indent}- [{plain(entry.section.title)}](#{quote(entry.anchor)})"


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
    """Return a table whose columns are as wide as their longest cell."""
    columns = []
    for column, *cells in zip(table.columns, *table.rows, strict=True):
        texts = [_cell(text) for text in (plain(column.title), *cells)]
        width = max(_NARROWEST, *map(len, texts))
        is_right = column.align == "right"
        head, *rest = (text.rjust(width) if is_right else text.ljust(width) for text in texts)
        columns.append([head, f"{'-' * (width - 1)}{':' if is_right else '-'}", *rest])
    return "\n".join(f"| {' | '.join(line)} |" for line in zip(*columns, strict=True))


def _paragraph(markdown: str) -> str:
    """Return inline Markdown on one line that begins no other kind of block."""
    line = _one_line(markdown)
    beginning = _BEGINNING.match(line)
    return line if beginning is None else f"{beginning[0]}\\{line[beginning.end() :]}"


def _italic(markdown: str) -> str:
    return f"_{_one_line(markdown)}_"


def _cell(markdown: str) -> str:
    # Readers split a row at its bars before they look for markup.
    return _one_line(markdown).replace("|", r"\|")


def _one_line(markdown: str) -> str:
    return " ".join(markdown.split())
