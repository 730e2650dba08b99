"""Check the structure of a report: headings, pictures, links, valid HTML.

    python scripts/check_report.py REPORT_FOLDER

Exits with 1 and every objection, with 0 if there is none. Needs html5lib and Pillow.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib
from PIL import Image

HEADINGS = (
    *("Summary", "Design", "Results", "Hypotheses", "Which settings matter", "Overfitting"),
    *("Diminishing returns", "What to run next", "How to reproduce this", "What was left out"),
)
_HTML = "{http://www.w3.org/1999/xhtml}"
_SVG = "{http://www.w3.org/2000/svg}svg"
_FEWEST_COLOURS = 5  # of a picture that shows something


def main() -> None:
    """Print the objections to a report, and exit accordingly."""
    found = list(objections(Path(sys.argv[1])))
    print(*found or ["the report is whole"], sep="\n")
    raise SystemExit(bool(found))


def objections(folder: Path) -> Iterator[str]:
    """Yield everything that is wrong with the report in a folder."""
    markdown = (folder / "report.md").read_text(encoding="utf-8")
    text = (folder / "report.html").read_text(encoding="utf-8")
    try:
        page = html5lib.HTMLParser(strict=True).parse(text)
    except html5lib.html5parser.ParseError as error:
        yield f"report.html is not valid: {error}"
        return
    yield from _objections_to_headings(markdown, page)
    yield from _objections_to_pictures(folder, markdown, page)
    yield from _objections_to_links(page)


def _objections_to_headings(markdown: str, page: Element) -> Iterator[str]:
    written = re.findall(r"^## (.*)$", markdown, flags=re.M)
    shown = ["".join(one.itertext()).strip() for one in page.iter(f"{_HTML}h2")]
    for heading in HEADINGS:
        if heading not in written:
            yield f"report.md has no section {heading}"
        if heading not in shown:
            yield f"report.html has no section {heading}"
    if len(list(page.iter(f"{_HTML}h1"))) != 1:
        yield "report.html has not exactly one title"


def _objections_to_pictures(folder: Path, markdown: str, page: Element) -> Iterator[str]:
    linked = re.findall(r"!\[[^\]]*\]\((visualizations/[^)]+)\)", markdown)
    files = {path.relative_to(folder).as_posix() for path in folder.glob("visualizations/*.png")}
    for missing in sorted(set(linked) - files):
        yield f"{missing} is in report.md, and nowhere else"
    drawings = [one for one in page.iter(_SVG) if one.get("role") == "img"]
    if not linked or len(drawings) != len(linked):
        yield f"report.md has {len(linked)} pictures, report.html {len(drawings)}"
    for drawing in drawings:
        if not drawing.get("aria-label"):
            yield "a picture of report.html has no name for those who cannot see it"
    for name in sorted(files):
        with Image.open(folder / name) as picture:
            colours = picture.convert("RGB").getcolors(maxcolors=1 << 24) or []
        if len(colours) < _FEWEST_COLOURS:
            yield f"{name} is blank"


def _objections_to_links(page: Element) -> Iterator[str]:
    ids = Counter(one.get("id") for one in page.iter() if one.get("id"))
    for name, times in ids.items():
        if times > 1:
            yield f"the id {name} stands {times} times in report.html"
    for link in page.iter(f"{_HTML}a"):
        target = link.get("href") or ""
        if target.startswith("#") and target[1:] not in ids:
            yield f"the link to {target} leads nowhere"
    for one in page.iter():
        source = one.get("src") or ""
        if source and not source.startswith("data:"):
            yield f"report.html needs {source}, which is not in it"


if __name__ == "__main__":
    main()
