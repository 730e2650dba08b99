"""Pages of which a script writes a part, between two marks; the rest is written by hand."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
END = "<!-- end -->\n"


def write_marked(page: Path, script: str, text: str) -> None:
    """Put *text* between the marks of a script, such as "bench.py", in a page."""
    mark = f"<!-- written by scripts/{script} -->\n"
    before, _, rest = page.read_text(encoding="utf-8").partition(mark)
    page.write_text(before + mark + text + END + rest.partition(END)[2], encoding="utf-8")
