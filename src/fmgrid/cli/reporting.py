"""`fmgrid report`: what the runs of a folder show, as pages with pictures, or as JSON."""

import json as json_format
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmgrid.cli.output import say, warn
from fmgrid.cli.showing import write
from fmgrid.errors import InputError, Place, Problem
from fmgrid.pages.document import Picture, plain
from fmgrid.pages.html import to_html
from fmgrid.pages.markdown import to_markdown
from fmgrid.records import Asked
from fmgrid.report import Evidence, Reference, to_document, weigh
from fmgrid.store import read_asked
from fmgrid.study import Study, to_study
from fmgrid.summary import summarize
from fmgrid.words import counted

REPORT = "report.html"
_PICTURES = "visualizations"


def load_study(logdir: Path, asked: Sequence[Asked] | None = None) -> Study:
    """Return the study in a folder; *asked* stands in for what was noted there.

    Raises `InputError` if no run is complete.
    """
    summary = summarize(logdir, with_history=True)
    if asked is None:
        asked, damaged = read_asked(logdir)
        summary.warnings += damaged
    study = to_study(summary, asked)
    if not study.scored:
        message = "has no complete run yet; fmgrid run trains some"
        raise InputError([Problem(Place(str(logdir)), "", message)])
    return study


def write_report(
    study: Study, reference: Reference | None, logdir: Path, output: Path, command: str
) -> tuple[Evidence, list[Path]]:
    """Write the report as Markdown, HTML and pictures; return what it says, and the files."""
    from fmgrid import plots

    evidence = weigh(study, reference)
    pictures: list[tuple[str | None, Picture]] = []
    files = []
    for drawn in plots.draw_all(study, evidence.effects):
        path = output / _PICTURES / f"{drawn.name}.png"
        write(path, plots.to_png(drawn.figure))
        files.append(path)
        svg = plots.to_svg(drawn.figure)
        # A caption is text, and holds names that are anybody's.
        picture = Picture(drawn.name, drawn.title, plain(drawn.caption), svg)
        pictures.append((drawn.group, picture))
    document = to_document(evidence, pictures, logdir, command)
    for name, text in (("report.md", to_markdown(document)), (REPORT, to_html(document))):
        write(output / name, text)
        files.append(output / name)
    return evidence, files


def tell_report(evidence: Evidence, files: Sequence[Path], *, json: bool) -> None:
    """Say what was written, or print the figures for a script."""
    if json:
        print(json_format.dumps(_to_json(evidence, files), indent=2))
        return
    for text in evidence.study.left_out:
        warn(text)
    runs = sum(len(one.runs) for one in evidence.study.scored.values())
    say(
        f"{counted(len(evidence.study.scored), 'experiment')}, {counted(runs, 'run')}, "
        f"{counted(len(files) - 2, 'picture')}"
    )
    for verdict in evidence.verdicts:
        say(f"{verdict.word.lower():12} {verdict.stated.claim}")
    for path in files[-2:]:
        print(path)


def _to_json(evidence: Evidence, files: Sequence[Path]) -> dict[str, Any]:
    return {
        "files": [str(path) for path in files],
        "metric": evidence.metric,
        "noise": evidence.noise and asdict(evidence.noise),
        "effects": [asdict(effect) for effect in evidence.effects],
        "verdicts": [
            {
                **verdict.stated.model_dump(mode="json"),
                "verdict": verdict.word,
                "p_holm": verdict.p,
                "more_seeds": verdict.more_seeds,
                "reason": verdict.reason,
                "compared": [asdict(one) for one in verdict.compared],
                "deciding": verdict.deciding,
            }
            for verdict in evidence.verdicts
        ],
        "left_out": list(evidence.study.left_out),
    }
