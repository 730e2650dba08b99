"""`fmgrid report` and `fmgrid compare`: what the runs of a folder show, as pages and as a table."""

import json as json_format
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from fmgrid.cli.output import put, say, warn
from fmgrid.cli.showing import write
from fmgrid.errors import InputError, Place, Problem
from fmgrid.pages.document import Picture, plain
from fmgrid.pages.html import to_html
from fmgrid.pages.markdown import to_markdown
from fmgrid.records import Asked
from fmgrid.report import Evidence, Reference, to_document, weigh
from fmgrid.report.phrases import show_difference, show_p, show_value, unit_of
from fmgrid.statistics import compare, holm
from fmgrid.store import read_asked
from fmgrid.study import ESTIMATED, LABELS, Repeated, Study, show_level, to_study
from fmgrid.summary import summarize
from fmgrid.words import counted, or_near_match, printable

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


def show_comparison(first: Repeated, second: Repeated, *, json: bool) -> None:
    """Print the settings in which two experiments differ, and their metrics, paired by seed."""
    names = dict.fromkeys([*first.settings, *second.settings])
    differing = [name for name in names if first.settings.get(name) != second.settings.get(name)]
    metrics = [m for m in (*ESTIMATED, "overfitting_gap") if first.series(m) and second.series(m)]
    found = {metric: compare(second.series(metric), first.series(metric)) for metric in metrics}
    paired = {metric: one for metric, one in found.items() if one}
    corrected = dict(zip(paired, holm([one.p for one in paired.values()]), strict=True))
    if json:
        answer: dict[str, Any] = {
            "first": first.name,
            "second": second.name,
            "settings": {n: [first.settings.get(n), second.settings.get(n)] for n in differing},
            "metrics": {
                metric: {
                    "first": asdict(first.estimate(metric)),  # type: ignore[arg-type]
                    "second": asdict(second.estimate(metric)),  # type: ignore[arg-type]
                    "difference": asdict(paired[metric]) if metric in paired else None,
                    "p_holm": corrected.get(metric),
                }
                for metric in metrics
            },
        }
        print(json_format.dumps(answer, indent=2))
        return
    one, other = printable(first.name), printable(second.name)
    settings = Table("setting", one, other, box=None, pad_edge=False)
    for name in differing:
        cells = (show_level(values.settings.get(name)) for values in (first, second))
        settings.add_row(name, *map(printable, cells))
    if differing:
        put(settings)
        print()
    else:
        print("the same configuration\n")
    table = Table("metric", one, other, "difference", "95% interval", "p", box=None, pad_edge=False)
    for metric in metrics:
        table.add_row(*_compared(first, second, metric, paired.get(metric), corrected.get(metric)))
    put(table)
    _say_how_sure(first, second, paired)


def find_repeated(names: Sequence[str], logdir: Path) -> list[Repeated]:
    """Return the experiments of these names, or single runs of them; their folders will do as well.

    Raises `InputError` if one has no complete run.
    """
    studies: dict[Path, Study] = {}
    found = []
    for name in names:
        path = Path(name)
        is_folder = path.name != name and path.parent.is_dir()
        root, name_there = (path.parent, path.name) if is_folder else (logdir, name)
        if root not in studies:
            studies[root] = load_study(root, [])
        found.append(_find(name_there, studies[root], root))
    return found


def _find(name: str, study: Study, root: Path) -> Repeated:
    if name in study.scored:
        return study.scored[name]
    runs = {
        row["run"]: replace(one, name=name, runs={seed: row}, curves={}, failures=())
        for one in study.scored.values()
        for seed, row in one.runs.items()
    }
    if name in runs:
        return runs[name]
    hint = or_near_match(name, [*study.scored, *runs], "there are")
    message = f"no complete run or experiment in {root}{hint}"
    raise InputError([Problem(Place(f"fmgrid compare {printable(name)}"), "", message)])


def _compared(
    first: Repeated, second: Repeated, metric: str, difference: Any, p: float | None
) -> list[str]:
    values = (show_value(one.mean(metric), metric) for one in (first, second))
    unit = " points" if unit_of(metric) == "points" else ""
    if difference is None:
        return [LABELS[metric], *values, "", "", ""]
    interval = ""
    if difference.low is not None:
        bounds = (show_difference(bound, metric) for bound in (difference.low, difference.high))
        interval = f"[{', '.join(bounds)}]"
    told = f"{show_difference(difference.mean, metric)}{unit}"
    shown_p = show_p(p) if difference.sd is not None else ""
    return [LABELS[metric], *values, told, interval, shown_p]


def _say_how_sure(first: Repeated, second: Repeated, paired: dict[str, Any]) -> None:
    seeds = max((one.n for one in paired.values()), default=0)
    if not seeds:
        say("they share no seed, so that they cannot be compared run by run")
    elif seeds == 1:
        say("one run each: nothing can be concluded; --seeds 0,1,2,3,4 repeats them")
    else:
        say(f"means over {seeds} seeds, paired; p values are Holm's over the metrics")
    if first.images_seen != second.images_seen:
        seen = (f"{one.images_seen:,}" if one.images_seen else "unknown" for one in (first, second))
        say(f"confounded with the amount of data: {' and '.join(seen)} images seen")


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
