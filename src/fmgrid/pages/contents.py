"""The headings of a document with their anchors, which are the same in Markdown and in HTML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fmgrid.pages.document import Document, Section, on_one_line


@dataclass(frozen=True)
class Entry:
    """A section, where a link to it leads, and the entries below it."""

    section: Section
    anchor: str
    entries: tuple["Entry", ...]


def to_entries(document: Document) -> tuple[Entry, ...]:
    """Return the contents of a document, in reading order.

    The anchors are those that GitHub gives to the headings of a Markdown file, where no name of
    another kind would be right; a full stop is in none of them, which leaves such names free.
    """
    anchors = _to_anchors(_titles(document))
    next(anchors)  # of the document itself
    return tuple(_to_entry(section, anchors) for section in document.sections)


def _to_entry(section: Section, anchors: Iterator[str]) -> Entry:
    anchor = next(anchors)
    return Entry(section, anchor, tuple(_to_entry(inner, anchors) for inner in section.sections))


def _titles(document: Document) -> Iterator[str]:
    yield document.title
    for section in document.sections:
        yield section.title
        yield from (inner.title for inner in section.sections)


def _to_anchors(titles: Iterator[str]) -> Iterator[str]:
    taken: dict[str, int] = {}  # anchors, and how often one was asked for again
    for title in titles:
        wanted = re.sub(r"[^\w -]", "", on_one_line(title).lower()).replace(" ", "-") or "section"
        anchor = wanted
        while anchor in taken:
            taken[wanted] += 1
            anchor = f"{wanted}-{taken[wanted]}"
        taken[anchor] = 0
        yield anchor
