"""matplotlib's SVG -> SVG as a part of an HTML page, beside others and in the page's colours."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from fmgrid.pages.document import INK

_INK = re.compile(re.escape(INK), re.I)
_NAMESPACE = re.compile(r"^\{.*\}")
_LINK = re.compile(r"(?<=^#).+")
_URL = re.compile(r"(?<=url\(#)[^)]+")
_STYLE_OF_ALL = re.compile(r"\*\s*\{(.*?)\}", re.S)


def inline_svg(svg: str, name: str, title: str) -> str:
    """Return a picture to be put into HTML; done to its own result, it changes nothing.

    The ids in it begin with *name*, so that pictures of different names may share a page. It
    takes the colour of the text around it, and `--width` in its style tells how wide it was
    drawn. *title* is what those hear who cannot see it.
    """
    root = ET.fromstring(svg)  # noqa: S314  # matplotlib has just written it
    declared = [*_declarations(root.get("style", "")), *_take_styles(root)]
    for element in root.iter():
        # HTML knows SVG by the names alone, and a link by `href`.
        element.tag = _NAMESPACE.sub("", element.tag)
        element.attrib = {
            _NAMESPACE.sub("", key): _INK.sub("currentColor", value)
            for key, value in element.attrib.items()
        }
        element.text, element.tail = _unless_blank(element.text), _unless_blank(element.tail)
    _rename(root, name)
    width = float(root.attrib["viewBox"].split()[2])
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": title,
        "style": "; ".join([f"--width: {width:g}pt", *declared]),
    }
    return ET.tostring(root, encoding="unicode")


def _take_styles(root: ET.Element) -> Iterator[str]:
    """Take out what would hold for the whole page, and yield what it says of all elements.

    matplotlib says nothing else in a style sheet, and nothing that inner elements don't inherit.
    Its metadata go as well: they hold a date and addresses.
    """
    for parent in list(root.iter()):
        for child in list(parent):
            kind = _NAMESPACE.sub("", child.tag)
            if kind == "style":
                for declarations in _STYLE_OF_ALL.findall(child.text or ""):
                    yield from _declarations(declarations)
            if kind in ("style", "metadata"):
                parent.remove(child)


def _declarations(style: str) -> list[str]:
    parts = (part.strip() for part in style.split(";"))
    return [part for part in parts if part and not part.startswith("--")]


def _rename(root: ET.Element, name: str) -> None:
    """Give numbers to ids that are referred to, and drop the others; matplotlib's are random."""
    names: dict[str, str] = {}
    for element in root.iter():
        for key, value in element.attrib.items():
            for old in _reference(key).findall(value):
                names.setdefault(old, f"{name}.{len(names) + 1}")
    for element in root.iter():
        if (new := names.get(element.attrib.pop("id", ""))) is not None:
            element.set("id", new)
        for key, value in element.attrib.items():
            element.set(key, _reference(key).sub(lambda old: names[old[0]], value))


def _reference(key: str) -> re.Pattern[str]:
    return _LINK if key == "href" else _URL


def _unless_blank(text: str | None) -> str | None:
    return text if text and text.strip() else None
