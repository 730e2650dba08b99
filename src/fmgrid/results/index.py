"""Which training each run of a log folder stands for, known without reading all results.

The store adds a line whenever it saves a run. A line is a hint and no more: whoever finds a run
by it reads its results, and the results of runs without a line are looked into.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from fmgrid.components import as_taken
from fmgrid.experiment import Experiment, Run
from fmgrid.system import toml
from fmgrid.system.disk import open_regular, read_regular

INDEX = ".fmgrid.index"

_MOST_BYTES = 100_000_000
_LINE = re.compile(r"([0-9a-f]{64}) (.+)")
# The table of the settings and those within it, up to the next one.
_SETTINGS = re.compile(r"^\[experiment\]\n.*?(?=^\[(?!experiment\b))", re.DOTALL | re.MULTILINE)
_HEAD = 64_000  # bytes of results, within which the settings end


def note(root: Path, run: Run) -> None:
    """Add a line for a run. It begins with a line end: the line before may have been torn."""
    with (root / INDEX).open("a", encoding="utf-8", newline="\n") as stream:
        stream.write(f"\n{run.experiment.prefix_key} {run.experiment.run_name}")


def prefix_keys(root: Path) -> dict[str, str]:
    """Return the prefix key of each run that has a line, by its name; the last line counts."""
    try:
        text = read_regular(root / INDEX, _MOST_BYTES).decode(errors="replace")
    except OSError:
        return {}
    lines = (_LINE.fullmatch(line) for line in text.split("\n"))
    return {line[2]: line[1] for line in lines if line}


def peek(results: Path) -> str | None:
    """Return the prefix key of the run that a results file holds, None if that is not plain."""
    try:
        with open_regular(results) as stream:
            head = stream.read(_HEAD).decode(errors="replace").replace("\r\n", "\n")
        found = _SETTINGS.search(head)
        settings = toml.loads(found[0])["experiment"] if found else {}
        settings.pop("fingerprint")
        return as_taken(Experiment(**settings)).prefix_key
    except (OSError, LookupError, TypeError, ValueError, RecursionError):
        return None


def names(root: Path) -> Iterator[str]:
    """Yield the names in a log folder that may be those of runs, in order."""
    try:
        found = sorted(path.name for path in root.iterdir())
    except OSError:
        return
    yield from (name for name in found if not name.startswith("."))
