"""A document -> one HTML file that needs nothing else: no network, and no file beside it."""

import re
from collections.abc import MutableMapping, Sequence
from math import isnan
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup

from fmgrid.pages.contents import to_entries
from fmgrid.pages.document import Block, Cell, Document, Picture, on_one_line, visible_lines
from fmgrid.pages.svg import inline_svg

_OPTION = re.compile(r"(?<!\S)--?[a-z][a-z-]*")

# Bold words that the page shows as badges.
VERDICTS = ("CONFIRMED", "REJECTED", "INCONCLUSIVE")


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
        "kind": _kind,
        "lines": _lines,
        "order": _order,
        "svg": _svg,
        "title": on_one_line,
    }
    page = environment.get_template("page.html")
    return page.render(document=document, entries=to_entries(document))


def _inline(markdown: str) -> Markup:
    # Safe, because the parser lets no HTML through.
    return Markup(_PARSER.renderInline(" ".join(markdown.split())))  # noqa: S704


def _svg(picture: Picture) -> Markup:
    # Safe, because it is well-formed and drawn here.
    return Markup(inline_svg(picture.svg, picture.name, on_one_line(picture.title)))  # noqa: S704


def _kind(block: Block) -> str:
    return type(block).__name__


def _lines(text: str) -> str:
    return "\n".join(visible_lines(text))


def _order(cell: Cell) -> str | None:
    """Return what the script sorts a cell by: a number as JavaScript reads it, or text."""
    if not isinstance(cell.order, (int, float)):
        return cell.order if cell.order is None else on_one_line(cell.order)
    if isnan(cell.order):
        return ""
    return f"{float(cell.order)!r}".replace("inf", "Infinity")


def _strong(
    renderer: RendererHTML,
    tokens: Sequence[Token],
    index: int,
    options: OptionsDict,
    env: MutableMapping[str, Any],
) -> str:
    """Open a strong word; one that is a verdict, and nothing more, is a badge."""
    word, end = tokens[index + 1 : index + 3]
    if word.type == "text" and word.content in VERDICTS and end.type == "strong_close":
        tokens[index].attrSet("class", f"badge {word.content.lower()}")
    return renderer.renderToken(tokens, index, options, env)


def _code(_: RendererHTML, tokens: Sequence[Token], index: int, *__: Any) -> str:
    """Return code whose options stay whole: a line may break after any hyphen otherwise."""
    shown = _OPTION.sub(r"<span>\g<0></span>", escapeHtml(tokens[index].content))
    return f"<code>{shown}</code>"


# No images: the page's own are pictures, and others would come over the network.
_PARSER = MarkdownIt("commonmark", {"html": False}).disable("image")
_PARSER.add_render_rule("strong_open", _strong)
_PARSER.add_render_rule("code_inline", _code)
