"""The headings of a document with their anchors, the same in Markdown and in HTML."""

import re
from dataclasses import dataclass

from fmgrid.pages.document import Document, Section, on_one_line


@dataclass(frozen=True)
class Entry:
    """A section, the anchor of its heading, and the entries of its inner sections."""

    section: Section
    anchor: str
    entries: tuple["Entry", ...]


def to_entries(document: Document) -> tuple[Entry, ...]:
    """Return the table of contents.

    The anchors are those that GitHub gives to the headings of a Markdown file. None has a full
    stop, so that the page may use names with a full stop for other things.
    """
    taken: dict[str, int] = {}  # anchors, and how often each was asked for again
    _anchor(document.title, taken)
    return tuple(_entry(section, taken) for section in document.sections)


def _entry(section: Section, taken: dict[str, int]) -> Entry:
    anchor = _anchor(section.title, taken)
    return Entry(section, anchor, tuple(_entry(inner, taken) for inner in section.sections))


def _anchor(title: str, taken: dict[str, int]) -> str:
    wanted = re.sub(r"[^\w -]", "", on_one_line(title).lower()).replace(" ", "-") or "section"
    anchor = wanted
    while anchor in taken:
        taken[wanted] += 1
        anchor = f"{wanted}-{taken[wanted]}"
    taken[anchor] = 0
    return anchor
