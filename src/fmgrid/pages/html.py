"""A document -> one HTML file that needs neither a network nor another file."""

import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from fmgrid.pages.document import INK, Document, Picture, on_one_line, to_entries, visible_lines

# No images: the page's own are pictures, and others would come over the network.
_PARSER = MarkdownIt("commonmark", {"html": False}).disable("image")
_BADGE = re.compile(r"<strong>(CONFIRMED|REJECTED|INCONCLUSIVE)</strong>")
_CODE = re.compile(r"(?<=<code>).*?(?=</code>)")
_OPTION = re.compile(r"(?<!\S)--?[a-z][a-z-]*")
# In matplotlib's SVG: the head with box and width, parts without a meaning, and places of ids
_HEAD = re.compile(r'<svg [^>]*viewBox="(\S+ \S+ (\S+) \S+)"[^>]*>')
_NEEDLESS = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->", re.S)
_ID = re.compile(r'(?<= id=")|(?<=href="#)|(?<=url\(#)')


def to_html(document: Document) -> str:
    """Return the document as a page: the same bytes for the same document."""
    environment = Environment(
        loader=PackageLoader("fmgrid", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "inline": _inline,
        "lines": visible_lines,
        "svg": _svg,
        "title": on_one_line,
    }
    page = environment.get_template("page.html")
    return page.render(document=document, entries=to_entries(document))


def _inline(markdown: str) -> Markup:
    """Return inline Markdown as HTML; a verdict alone in bold is a badge."""
    html = _PARSER.renderInline(" ".join(markdown.split()))
    html = _BADGE.sub(
        lambda bold: f'<strong class="badge {bold[1].lower()}">{bold[1]}</strong>', html
    )
    return Markup(_CODE.sub(_with_breaks, html))  # noqa: S704 -- the parser lets no HTML through


def _with_breaks(shown: re.Match[str]) -> str:
    """Let lines of code break after underscores, and not within options."""
    return _OPTION.sub(r"<span>\g<0></span>", shown[0].replace("_", "_<wbr>"))


def _svg(picture: Picture) -> Markup:
    """Return a picture as a part of the page: with ids of its own, in the colour of the text."""
    _, box, width, body = _HEAD.split(picture.svg, maxsplit=1)
    body = _ID.sub(f"{picture.name}.", _NEEDLESS.sub("", body)).replace(INK, "currentColor")
    head = Markup('<svg viewBox="{}" role="img" aria-label="{}" style="--width: {}pt">')
    # Safe, because matplotlib has just written it.
    return head.format(box, on_one_line(picture.title), width) + Markup(body)  # noqa: S704
