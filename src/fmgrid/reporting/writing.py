"""A report as files, and its figures as JSON.

A report appears with all of its files or none, and in the place of nobody else's.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from fmgrid.analysis.effects import Effect, StepEffect
from fmgrid.analysis.evidence import Evidence, Spread
from fmgrid.analysis.statistics import Estimate
from fmgrid.analysis.verdicts import Verdict
from fmgrid.errors import InputError, StoreError
from fmgrid.hypotheses.language import to_text
from fmgrid.pages.document import Picture, plain
from fmgrid.pages.rendering import to_html, to_markdown
from fmgrid.reporting import MARK, to_document
from fmgrid.reporting.closing import not_compared
from fmgrid.reporting.overview import deciding_figures
from fmgrid.results.store import translate_os_errors
from fmgrid.system.disk import move_file, move_folder, read_regular, resolve
from fmgrid.words import first_few

_PAGES = ("report.md", "report.html")
_PICTURES = "visualizations"
_MOST_BYTES = 100_000_000  # of a page that is read; with its pictures it has a few millions


class Report(NamedTuple):
    """A report that was written."""

    evidence: Evidence
    files: list[Path]  # pictures, report.md, and last report.html

    @property
    def page(self) -> Path:
        """The page to open in a browser."""
        return self.files[-1]

    def to_json(self) -> dict[str, Any]:
        """Return its figures for a script."""
        return to_json(self.evidence, self.files)

    def __repr__(self) -> str:
        return f"<Report {self.page}>"


def write_report(evidence: Evidence, logdir: Path, output: Path, command: str) -> Report:
    """Write the report as Markdown, HTML and pictures.

    All of them or none. Raises `InputError` where that would replace files that fmgrid did not
    make.
    """
    from fmgrid import plots

    check_output_folder(output)
    pictures: list[tuple[str | None, Picture]] = []
    files: dict[str, bytes] = {}
    for picture in plots.draw_all(evidence):
        files[f"{_PICTURES}/{picture.name}.png"] = plots.to_png(picture.figure)
        # A caption is text, and holds names of any kind.
        caption, svg = plain(picture.caption), plots.to_svg(picture.figure)
        pictures.append((picture.group, Picture(picture.name, picture.title, caption, svg)))
    document = to_document(evidence, pictures, logdir, command)
    for name, text in zip(_PAGES, (to_markdown(document), to_html(document)), strict=True):
        files[name] = text.encode()
    write_files(output, files)
    return Report(evidence, [output / name for name in files])


def check_output_folder(folder: Path) -> None:
    """Refuse a folder with pages or pictures that may not be fmgrid's.

    Raises `InputError`; `StoreError` where that cannot be told.
    """
    with translate_os_errors(folder):
        is_file = folder.exists() and not folder.is_dir()
        foreign = [  # a page says itself whose it is, and the first one whose pictures are there
            name
            for name, page in zip((*_PAGES, _PICTURES), (*_PAGES, _PAGES[0]), strict=True)
            if (folder / name).exists() and MARK not in _read(folder / page)
        ]
    if is_file or foreign:
        names = first_few(foreign)
        message = f"holds {names}, which may be your own; name another folder"
        raise InputError.at(f"-o {folder}", "is a file; name a folder" if is_file else message)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, by their paths in it, when all of them are there to be written.

    Pictures that only the older report has go. Raises `StoreError`, and then the folder is as it
    was.
    """
    target = resolve(folder)
    is_new = not target.exists()
    staged = (target.with_name if is_new else target.joinpath)(f".fmgrid-report-{os.getpid()}")
    try:
        images = [line for line in _read(target / _PAGES[0]).splitlines() if line[:2] == "!["]
        for name, content in files.items():
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            (staged / name).write_bytes(content)
        if is_new:
            move_folder(staged, target)
            return
        for name in files:
            (target / name).parent.mkdir(exist_ok=True)
            move_file(staged / name, target / name)
        for path in target.glob(f"{_PICTURES}/*.png"):
            name = f"{_PICTURES}/{path.name}"
            if name not in files and any(line.endswith(f"]({name})") for line in images):
                path.unlink()
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def to_json(evidence: Evidence, files: Sequence[Path]) -> dict[str, Any]:
    """Return all figures of a report for a script."""
    study, metric = evidence.study, evidence.metric
    return {
        "files": [str(path) for path in files],
        "metric": metric,
        "noise": {
            ranking.images: asdict(study.noise(metric, ranking.best))
            for ranking in evidence.rankings
        },
        "spread": _as_values(evidence.spread),
        "best": [
            {
                "name": ranking.best.name,
                "images": ranking.images,
                "estimate": _as_values(ranking.best.estimate(metric)),
                "not_significantly_worse": None
                if evidence.spread is None
                else [tie.name for tie in ranking.ties[1:]],
            }
            for ranking in evidence.rankings
        ],
        "effects": list(map(_to_values, evidence.effects)),
        "gains": list(map(_to_values, evidence.gains)),
        "verdicts": [_of_verdict(verdict, evidence) for verdict in evidence.verdicts],
        "winners": evidence.winners and evidence.winners.by_seed,
        "groups": {
            title: {
                "reference": comparison.reference.name,
                "differences": {
                    name: difference.to_json()
                    | {"p_corrected": p if difference.sd is not None else None}
                    for name, (difference, p) in comparison.differences.items()
                },
            }
            for title, comparison in evidence.comparisons.items()
        },
        "shares": {title: list(map(asdict, parts)) for title, parts in evidence.shares.items()},
        "gaps": {
            gap.experiment.name: gap.difference.to_json()
            | {"p_corrected": gap.p if gap.difference.sd is not None else None, "sign": gap.sign}
            for gap in evidence.gaps
        },
        "left_out": [*not_compared(evidence), *study.left_out],
    }


def _as_values(record: Estimate | Spread | None) -> dict[str, Any] | None:
    return asdict(record) if record else None


def _to_values(effect: Effect | StepEffect) -> dict[str, Any]:
    """Return an effect as values; where no two seeds are shared, nothing is known of p."""
    p = None if effect.difference.sd is None else effect.p
    return {**vars(effect), "difference": effect.difference.to_json(), "p": p}


def _of_verdict(verdict: Verdict, evidence: Evidence) -> dict[str, Any]:
    is_open = verdict in evidence.inconclusive_over_all
    return {
        **verdict.stated.model_dump(mode="json"),
        "resolved": to_text(verdict.stated.resolved),
        "verdict": verdict.word,
        "verdict_over_all": "INCONCLUSIVE" if is_open else verdict.word,
        "p_holm": verdict.p if verdict.is_tested else None,
        "figures": deciding_figures(verdict),
        "seeds": verdict.seeds,
        "reason": verdict.reason,
        "compared": [
            {
                "greater": test.greater,
                "lesser": test.lesser,
                "difference": test.difference.to_json(),
                "margin": test.margin,
                "images": test.images,
                "alternatives": test.alternatives,
            }
            for test in verdict.compared
        ],
        "deciding": verdict.deciding,
    }


def _read(page: Path) -> str:
    return read_regular(page, _MOST_BYTES).decode(errors="replace") if page.is_file() else ""
