"""How to do all of this again, and what is not in the report."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fmgrid.analysis.experiments import UNKNOWN_SEED
from fmgrid.analysis.statistics import common_seeds
from fmgrid.analysis.study import Study
from fmgrid.hypotheses.commands import commands_of, path_word
from fmgrid.pages.document import Code, Items, Section, Text, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import some
from fmgrid.results.summary import StoredRun
from fmgrid.words import command_line, counted

_SHOWN = 20


def reproduce_section(evidence: Evidence, command: str) -> Section:
    """Show the commands, versions and machines that the figures come from."""
    study = evidence.study
    commands = list(dict.fromkeys(line for asked in study.asked for line in commands_of(asked)))
    rows = study.runs
    trained = [row for row in rows if not row.trained_as]
    seconds = sum(row.seconds or 0.0 for row in trained)
    runs = "The run" if len(rows) == 1 else f"The {len(rows):,} runs"
    shared = f" come from {counted(len(trained), 'training')}, and"
    took = counted(round(seconds), "second") if seconds >= 1 else "less than a second"
    told = (
        f"{runs}{shared if len(trained) < len(rows) else ''} took {took} of one core"
        f"{' in all' if len(trained) > 1 else ''}."
    )
    if study.seeds:
        told += (
            " The same experiment and seed give the same bits on the same software and kind of "
            "processor."
        )
    listing = "\n".join(f"$ {line}" for line in [*commands, command])
    blocks: list[Text | Items | Code] = [Code(listing), Text(told)]
    software = _software(rows)
    if software:
        blocks.append(Items(tuple(software)))
    return Section("How to reproduce this", tuple(blocks))


def left_out_section(evidence: Evidence, logdir: Path) -> Section:
    """Name what is in the folder, or was asked for, and is not in the figures."""
    study = evidence.study
    told = [*_without_runs(study), *_irregular(study), *_uneven(study), *map(plain, study.left_out)]
    if len(told) > _SHOWN:
        status = code(command_line(["fmgrid", "status", path_word(logdir)]))
        told = [*told[:_SHOWN], f"and {len(told) - _SHOWN} more; {status} names them"]
    if not told:
        return Section("What was left out", (Text("Nothing: every run in the folder is in it."),))
    return Section("What was left out", (Items(tuple(told)),))


def _without_runs(study: Study) -> Iterator[str]:
    failed = dict.fromkeys(study.failed)
    if none_left := [name for name in failed if name not in study.scored]:
        yield f"no complete run, since all failed: {some(none_left)}"
    for group in study.groups:
        if missing := [name for name in group.missing if name not in failed]:
            yield f"{plain(group.title)}: no complete run of {some(missing)}"


def _irregular(study: Study) -> Iterator[str]:
    apart = ", but where experiments differ from the baseline in one only" if study.baseline else ""
    for group in study.groups:
        if group.shape == "irregular":
            yield (
                f"{plain(group.title)}: its settings vary together, so that no swing is given to "
                f"any of them{apart}"
            )


def _uneven(study: Study) -> Iterator[str]:
    """Name the experiments that lack seeds which others have."""
    known = set(study.seeds)
    unknown = [name for name, one in study.scored.items() if UNKNOWN_SEED in one.runs]
    if known and unknown:
        yield f"of seeds that are not known, so that no run is paired with theirs: {some(unknown)}"
    seeded = {name: one.runs for name, one in study.scored.items() if name not in unknown}
    lacking = [name for name, runs in seeded.items() if known - set(runs)]
    if lacking:
        none = "" if common_seeds(list(seeded.values())) else ", and not at all if there are none"
        yield (
            f"without all of the {len(known)} seeds: {some(lacking)}; two experiments are compared "
            f"over the seeds that both have{none}"
        )


def _software(runs: Sequence[StoredRun]) -> list[str]:
    versions: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, value in run.software.items():
            versions.setdefault(name, {})[str(value)] = None
    return [f"{plain(name)}: {plain(', '.join(values))}" for name, values in versions.items()]
