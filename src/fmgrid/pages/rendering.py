"""A document -> Markdown that reads well on GitHub and in an editor, and HTML in a single file.

`page.md` and `page.html` are their templates; the filters here write what stands on one line.
"""

import re
from collections.abc import Iterable, Iterator

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markdown_it import MarkdownIt
from markupsafe import Markup

from fmgrid.pages.document import INK, Document, Picture, Table, fence_around, on_one_line, plain
from fmgrid.words import printable

# No images: the page's own are pictures, and others would come over the network.
_PARSER = MarkdownIt("commonmark", {"html": False}).disable("image")
_BADGE = re.compile(r"<strong>(CONFIRMED|REJECTED|INCONCLUSIVE)</strong>")
_CODE = re.compile(r"(?<=<code>).*?(?=</code>)")
_OPTION = re.compile(r"(?<!\S)--?[a-z][a-z-]*")
# In matplotlib's SVG: the head with box and width, parts without a meaning, and places of ids
_HEAD = re.compile(r'<svg [^>]*viewBox="(\S+ \S+ (\S+) \S+)"[^>]*>')
_NEEDLESS = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->", re.S)
_ID = re.compile(r'(?<= id=")|(?<=href="#)|(?<=url\(#)')

# The beginning of a heading, a quotation, a fence, a list or a rule: a backslash after the digits,
# if any, makes it text.
_BEGINNING = re.compile(r"^(\d{1,9}(?=[.)](\s|$))|(?=[#>]|~~~|[-+*](\s|$)|--))")
_NARROWEST = 3  # dashes that every reader accepts below a head


def to_markdown(document: Document) -> str:
    """Return the document as Markdown; its pictures are files in `visualizations/` beside it."""
    return _render("page.md", document)


def to_html(document: Document) -> str:
    """Return the document as a page that needs neither a network nor another file."""
    return _render("page.html", document)


def _render(template: str, document: Document) -> str:
    """Return a page: the same bytes for the same document."""
    environment = Environment(
        loader=PackageLoader("fmgrid", "pages"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "fence": fence_around,
        "html": _to_html,
        "inline": _inline,
        "lines": _visible_lines,
        "paragraph": _paragraph,
        "plain": plain,
        "rows": _rows,
        "svg": _svg,
        "title": on_one_line,
    }
    titles = [document.title, *(section.title for section in document.sections)]
    entries = list(zip(document.sections, _anchors(titles)[1:], strict=True))
    return environment.get_template(template).render(document=document, entries=entries)


def _anchors(titles: Iterable[str]) -> list[str]:
    """Return the anchors that GitHub gives to the headings of a Markdown file.

    None has a full stop, so that the page may use names with a full stop for other things.
    """
    taken: dict[str, int] = {}  # and how often each was asked for again
    for title in titles:
        wanted = re.sub(r"[^\w -]", "", on_one_line(title).lower()).replace(" ", "-") or "section"
        anchor = wanted
        while anchor in taken:
            taken[wanted] += 1
            anchor = f"{wanted}-{taken[wanted]}"
        taken[anchor] = 0
    return list(taken)


def _visible_lines(text: str) -> list[str]:
    return [printable(line) for line in text.expandtabs().splitlines()]


def _inline(markdown: str) -> str:
    return " ".join(markdown.split())


def _paragraph(markdown: str) -> str:
    """Return inline Markdown on one line that begins no other kind of block."""
    return _BEGINNING.sub(r"\g<0>\\", _inline(markdown))


def _rows(table: Table) -> Iterator[tuple[str, ...]]:
    """Return a table's rows, the head's first; columns are as wide as their longest cell."""
    columns = []
    for column, *cells in zip(table.columns, *table.rows, strict=True):
        # Readers split a row at its bars before they look for markup.
        texts = [_inline(text).replace("|", r"\|") for text in (plain(column.title), *cells)]
        width = max(_NARROWEST, *map(len, texts))
        is_right = column.align == "right"
        head, *rest = (text.rjust(width) if is_right else text.ljust(width) for text in texts)
        columns.append([head, f"{'-' * (width - 1)}{':' if is_right else '-'}", *rest])
    return zip(*columns, strict=True)


def _to_html(markdown: str) -> Markup:
    """Return inline Markdown as HTML; a verdict alone in bold is a badge."""
    html = _PARSER.renderInline(_inline(markdown))
    html = _BADGE.sub(r'<strong class="badge \1">\1</strong>', html)
    return Markup(_CODE.sub(_with_breaks, html))  # noqa: S704 -- the parser lets no HTML through


def _with_breaks(match: re.Match[str]) -> str:
    """Let lines of code break after underscores, and not within options."""
    return _OPTION.sub(r"<span>\g<0></span>", match[0].replace("_", "_<wbr>"))


def _svg(picture: Picture) -> Markup:
    """Return a picture as a part of the page: with ids of its own, in the colour of the text."""
    _, box, width, body = _HEAD.split(picture.svg, maxsplit=1)
    body = _ID.sub(f"{picture.name}.", _NEEDLESS.sub("", body)).replace(INK, "currentColor")
    head = Markup('<svg viewBox="{}" role="img" aria-label="{}" style="--width: {}pt">')
    # Safe, because matplotlib has just written it.
    return head.format(box, on_one_line(picture.title), width) + Markup(body)  # noqa: S704
