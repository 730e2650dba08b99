"""Run the grids of configs/studies/, and write what came out into docs/studies.md.

python scripts/studies.py    # ten minutes on two cores; needs scikit-learn
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from marks import ROOT, write_marked

STUDIES = ROOT / "configs" / "studies"
PAGE = ROOT / "docs" / "studies.md"


def main() -> None:
    """Run every study and write the page."""
    with tempfile.TemporaryDirectory(prefix="fmgrid-studies-") as scratch:
        parts = [
            describe(grid, Path(scratch, grid.stem)) for grid in sorted(STUDIES.glob("*.toml"))
        ]
    write_marked(PAGE, "studies.py", "\n\n".join(parts) + "\n")
    print(f"wrote {PAGE.relative_to(ROOT)}")


def describe(grid: Path, logdir: Path) -> str:
    """Return a study's question, and the summary of its report with the verdicts."""
    print(grid.name, file=sys.stderr, flush=True)
    fmgrid("run", grid.name, "--logdir", str(logdir))
    pages = logdir.with_suffix(".report")
    verdicts = fmgrid("report", str(logdir), "-o", str(pages))
    report = (pages / "report.md").read_text(encoding="utf-8")
    (summary,) = re.findall(r"^## Summary\n\n(.*?)\n\n", report, re.S | re.M)
    lines = grid.read_text(encoding="utf-8").splitlines()
    question, size = lines[0].removeprefix("# "), lines[2].removeprefix("# ")
    runs = re.findall(r"(\d+ complete runs?, \d+ seeds?)", report)[0]
    claims = re.findall(r"^(confirmed|rejected|inconclusive) +(.*)$", verdicts, re.M)
    return "\n\n".join(
        [
            f"## [{grid.name}](../configs/studies/{grid.name})",
            f"*{question}* {size}, {runs}.",
            re.sub(r"^- \*\*Hypotheses\*\*.*\n?", "", summary, flags=re.M).strip(),
            "\n".join(f"- {verdict.capitalize()}: {claim}." for verdict, claim in claims),
        ]
    )


def fmgrid(*words: str) -> str:
    """Run a command in the folder of the studies, and return what it says."""
    command = [Path(sys.executable).with_name("fmgrid"), *words]
    answer = subprocess.run(command, cwd=STUDIES, capture_output=True, text=True, check=True)
    return answer.stderr


if __name__ == "__main__":
    main()
