"""`fmgrid report`: the results of a folder's runs as pages with pictures, or as JSON.

A report appears with all of its files or none, and in the place of nobody else's.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from fmgrid.analysis.experiments import best_by_images, images_of
from fmgrid.analysis.study import Study, to_study
from fmgrid.analysis.verdicts import inconclusive_over_all
from fmgrid.cli.output import print_json, say, warn
from fmgrid.cli.showing import resolve
from fmgrid.errors import FmgridError, InputError, StoreError
from fmgrid.hypotheses.commands import as_argument
from fmgrid.hypotheses.language import to_text
from fmgrid.hypotheses.registry import GridRecord, merge_stored, read_records
from fmgrid.pages.document import Picture, plain
from fmgrid.pages.rendering import to_html, to_markdown
from fmgrid.report import MARK, Evidence, Reference, to_document, weigh
from fmgrid.report.overview import deciding_figures
from fmgrid.results.store import translate_os_errors
from fmgrid.results.summary import Contents, read_runs
from fmgrid.system.disk import move_file, move_folder, read_regular
from fmgrid.words import command_line, counted, first_few

_PAGES = ("report.md", "report.html")
_PICTURES = "visualizations"
_MOST_BYTES = 100_000_000  # of a page that is read; with its pictures it has a few millions
_WARNINGS_SHOWN = 20


def load_study(logdir: Path, records: Sequence[GridRecord] | None = None) -> Study:
    """Return the study in a folder; *records* replaces the grids that are stored there.

    Raises `InputError` if there is no run yet, `FmgridError` if all of them failed.
    """
    contents = read_runs(logdir, with_history=True)
    # The folder itself may only hold the log folders of several machines.
    stored, unread = read_records(*dict.fromkeys([logdir, *contents.grids]))
    contents.warnings += unread
    study = to_study(contents, stored if records is None else merge_stored(records, stored))
    if not study.scored:
        _refuse(logdir, study, contents)
    return study


def write_report(
    study: Study, reference: Reference | None, logdir: Path, output: Path, command: str
) -> tuple[Evidence, list[Path]]:
    """Write the report as Markdown, HTML and pictures; return its analysis, and the files.

    All of them or none. Raises `InputError` where that would replace files that fmgrid did not
    make.
    """
    from fmgrid import plots

    check_output_folder(output)
    evidence = weigh(study, reference)
    pictures: list[tuple[str | None, Picture]] = []
    files: dict[str, bytes] = {}
    for picture in plots.draw_all(study, evidence.effects):
        files[f"{_PICTURES}/{picture.name}.png"] = plots.to_png(picture.figure)
        # A caption is text, and holds names of any kind.
        caption, svg = plain(picture.caption), plots.to_svg(picture.figure)
        pictures.append((picture.group, Picture(picture.name, picture.title, caption, svg)))
    document = to_document(evidence, pictures, logdir, command)
    for name, text in zip(_PAGES, (to_markdown(document), to_html(document)), strict=True):
        files[name] = text.encode()
    write_files(output, files)
    return evidence, [output / name for name in files]


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


def show_report(evidence: Evidence, files: Sequence[Path], *, json: bool) -> None:
    """Name the verdicts and the pages, or print the figures for a script."""
    if json:
        print_json(_to_json(evidence, files))
        return
    study = evidence.study
    warn(*study.left_out)
    numbers = {"experiment": len(study.scored), "run": len(study.runs), "picture": len(files) - 2}
    say(", ".join(counted(number, noun) for noun, number in numbers.items()))
    for verdict in evidence.verdicts:
        say(f"{verdict.word.lower():12} {verdict.stated.claim}")
    for path in files[-2:]:
        print(path)


def _refuse(logdir: Path, study: Study, contents: Contents) -> NoReturn:
    warn(*contents.warnings[:_WARNINGS_SHOWN])
    numbers = {
        "failed": len(study.failures),
        "unfinished": len(contents.unfinished),
        "damaged": len(contents.damaged),
    }
    states = ", ".join(f"{number:,} {state}" for state, number in numbers.items() if number)
    if numbers["failed"]:
        status = command_line(["fmgrid", "status", as_argument(logdir)])
        raise FmgridError(f"{logdir}: has no complete run: {states}; {status} names them")
    if states:
        message = f"has no complete run yet: {states}; the same fmgrid run does them"
    elif contents.warnings:
        message = f"has no run that can be read: {counted(len(contents.warnings), 'warning')} above"
    else:
        message = "has no runs; fmgrid run trains some"
    raise InputError.at(str(logdir), message)


def _read(page: Path) -> str:
    return read_regular(page, _MOST_BYTES).decode(errors="replace") if page.is_file() else ""


def _to_json(evidence: Evidence, files: Sequence[Path]) -> dict[str, Any]:
    open_verdicts = inconclusive_over_all(evidence.verdicts)
    return {
        "files": [str(path) for path in files],
        "metric": evidence.metric,
        "noise": {
            images_of(ranked[0]): asdict(evidence.study.noise(evidence.metric, ranked[0]))
            for ranked in best_by_images(evidence.study.configurations, evidence.metric)
        },
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
                "verdict_over_all": "INCONCLUSIVE" if verdict in open_verdicts else verdict.word,
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
            for verdict in evidence.verdicts
        ],
        "left_out": list(evidence.study.left_out),
    }
