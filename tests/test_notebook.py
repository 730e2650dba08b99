"""docs/notebook.md shows what its cells give. `python tests/test_notebook.py` writes that anew."""

import ast
import contextlib
import io
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "notebook.md"
CELL = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


def run_cell(code: str, names: dict[str, Any]) -> str:
    """Return what a notebook shows of a cell: its output, and the value of its last line."""
    *statements, last = ast.parse(code).body
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(ast.Module(statements, []), "cell", "exec"), names)  # noqa: S102
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)  # noqa: S307
            output.write(f"{value!r}\n")
        else:
            exec(compile(ast.Module([last], []), "cell", "exec"), names)  # noqa: S102
    return re.sub(r" +$", "", output.getvalue(), flags=re.MULTILINE)


def run_page(text: str) -> str:
    """Return the page with what its cells give now."""
    names: dict[str, Any] = {}

    def renew(cell: re.Match[str]) -> str:
        return f"```python\n{cell[1]}```\n\n```text\n{run_cell(cell[1], names)}```"

    return CELL.sub(renew, text)


def without_figures(text: str) -> str:
    """Return the words of a page: another processor gives other figures, of another width."""
    return re.sub(r"[-\d.e]*\d|[\s-]+", " ", text)


@pytest.mark.usefixtures("elsewhere")
def test_the_cells_of_the_page_give_what_it_shows() -> None:
    text = PAGE.read_text()
    assert len(CELL.findall(text)) == text.count("```python")
    assert without_figures(run_page(text)) == without_figures(text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ.setdefault("COLUMNS", "80")
        PAGE.write_text(run_page(PAGE.read_text()))
