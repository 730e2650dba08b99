"""`fmgrid report`: what the runs of a folder show, as pages with pictures, or as JSON."""

import json as json_format
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from fmgrid.analysis.study import Study, to_study
from fmgrid.analysis.verdicts import open_over_all
from fmgrid.cli.output import say, warn
from fmgrid.cli.placing import PAGES, PICTURES, check_place, place
from fmgrid.errors import FmgridError, InputError, Place, Problem
from fmgrid.hypotheses.commands import as_argument
from fmgrid.hypotheses.notation import to_text
from fmgrid.hypotheses.records import GridRecord
from fmgrid.hypotheses.registry import read_asked_in, recall
from fmgrid.pages.document import Picture, plain
from fmgrid.pages.html import to_html
from fmgrid.pages.markdown import to_markdown
from fmgrid.report import Evidence, Reference, to_document, weigh
from fmgrid.report.hypotheses import deciding_figures
from fmgrid.results.summary import Contents, read_runs
from fmgrid.words import command_line, counted

_WARNINGS_SHOWN = 20


def load_study(logdir: Path, asked: Sequence[GridRecord] | None = None) -> Study:
    """Return the study in a folder; *asked* stands in for what was noted there, but for times.

    Raises `InputError` if there is no run yet, `FmgridError` if all of them failed.
    """
    contents = read_runs(logdir, with_history=True)
    # The folder itself may only hold the log folders of several machines.
    noted, unread = read_asked_in(dict.fromkeys([logdir, *contents.grids]))
    contents.warnings += unread
    study = to_study(contents, noted if asked is None else recall(asked, noted))
    if not study.scored:
        _refuse(logdir, study, contents)
    return study


def write_report(
    study: Study, reference: Reference | None, logdir: Path, output: Path, command: str
) -> tuple[Evidence, list[Path]]:
    """Write the report as Markdown, HTML and pictures; return what it says, and the files.

    All of them or none. Raises `InputError` where that would replace what fmgrid did not make.
    """
    from fmgrid import plots

    check_place(output)
    evidence = weigh(study, reference)
    pictures: list[tuple[str | None, Picture]] = []
    files: dict[str, bytes] = {}
    for drawn in plots.draw_all(study, evidence.effects):
        files[f"{PICTURES}/{drawn.name}.png"] = plots.to_png(drawn.figure)
        svg = plots.to_svg(drawn.figure)
        # A caption is text, and holds names that are anybody's.
        picture = Picture(drawn.name, drawn.title, plain(drawn.caption), svg)
        pictures.append((drawn.group, picture))
    document = to_document(evidence, pictures, logdir, command)
    for name, text in zip(PAGES, (to_markdown(document), to_html(document)), strict=True):
        files[name] = text.encode()
    place(output, files)
    return evidence, [output / name for name in files]


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


def _refuse(logdir: Path, study: Study, contents: Contents) -> NoReturn:
    """Say why there is nothing to report on."""
    for text in contents.warnings[:_WARNINGS_SHOWN]:
        warn(text)
    failed = sum(len(one.failures) for one in study.experiments.values())
    numbers = (failed, len(contents.unfinished), len(contents.damaged))
    states = zip(numbers, ("failed", "unfinished", "damaged"), strict=True)
    told = ", ".join(f"{number:,} {state}" for number, state in states if number)
    if failed:
        status = command_line(["fmgrid", "status", as_argument(logdir)])
        raise FmgridError(
            f"{logdir}: has no complete run: {told}; "
            f"{status} names them, and fmgrid show says why one failed"
        )
    if told:
        message = f"has no complete run yet: {told}; the same fmgrid run does them"
    elif contents.warnings:
        message = f"has no run that can be read: {counted(len(contents.warnings), 'warning')} above"
    else:
        message = "has no runs; fmgrid run trains some"
    raise InputError([Problem(Place(str(logdir)), "", message)])


def _to_json(evidence: Evidence, files: Sequence[Path]) -> dict[str, Any]:
    open_ = open_over_all(evidence.verdicts)
    return {
        "files": [str(path) for path in files],
        "metric": evidence.metric,
        "noise": evidence.noise and asdict(evidence.noise),
        "effects": [
            {
                **asdict(effect),
                "difference": effect.difference.to_json(),
                "p": None if effect.difference.sd is None else effect.p,
            }
            for effect in evidence.effects
        ],
        "verdicts": [
            {
                **verdict.stated.model_dump(mode="json"),
                "resolved": to_text(verdict.stated.resolved),
                "verdict": verdict.word,
                "verdict_over_all": "INCONCLUSIVE" if verdict in open_ else verdict.word,
                "p_holm": verdict.p if verdict.is_tested else None,
                "figures": deciding_figures(verdict),
                "more_seeds": verdict.more_seeds,
                "reason": verdict.reason,
                "compared": [
                    {**asdict(one), "difference": one.difference.to_json()}
                    for one in verdict.compared
                ],
                "deciding": verdict.deciding,
            }
            for verdict in evidence.verdicts
        ],
        "left_out": list(evidence.study.left_out),
    }
