"""How to make the same runs again, and which runs and experiments are not in the report."""

from collections.abc import Iterator
from pathlib import Path

from fmgrid.analysis.experiments import UNKNOWN_SEED
from fmgrid.analysis.study import Study
from fmgrid.hypotheses.commands import commands_of, path_word
from fmgrid.pages.document import Code, Section, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import section, some
from fmgrid.words import command_line, counted

_SHOWN = 20


def reproduce_section(evidence: Evidence, command: str) -> Section:
    """Show the commands, versions and machines that the figures come from."""
    study = evidence.study
    commands = dict.fromkeys(line for asked in study.asked for line in commands_of(asked))
    trained = [run for run in study.runs if not run.trained_as]
    seconds = sum(run.seconds or 0.0 for run in trained)
    return section(
        "How to reproduce this",
        Code("\n".join(f"$ {line}" for line in [*commands, command])),
        f"{counted(len(study.runs), 'run')} from {counted(len(trained), 'training')}: "
        f"{seconds:,.1f} seconds of one core. The same experiment and seed give the same bits on "
        "the same software and kind of processor.",
        [*_software(study)],
    )


def left_out_section(evidence: Evidence, logdir: Path) -> Section:
    """Name what is in the folder or a grid, and not in the figures."""
    texts = [*_not_compared(evidence.study), *map(plain, evidence.study.left_out)]
    if len(texts) > _SHOWN:
        status = code(command_line(["fmgrid", "status", path_word(logdir)]))
        texts = [*texts[:_SHOWN], f"{len(texts) - _SHOWN} more; {status} names them"]
    return section("What was left out", texts or "Nothing: every run is in the report.")


def _not_compared(study: Study) -> Iterator[str]:
    seeds, experiments = {*study.seeds}, study.scored.values()
    for group in study.groups:
        if group.missing:
            yield f"{plain(group.title)}: no complete run of {some(group.missing)}"
        if group.shape == "irregular":
            pairs = ", except where only one differs from the baseline" if study.baseline else ""
            yield (
                f"{plain(group.title)} changes several settings at once, so no effect is credited "
                f"to one setting{pairs}"
            )
    unknown = [one.name for one in experiments if UNKNOWN_SEED in one.runs]
    if seeds and unknown:
        yield f"with unknown seeds, so no run is paired with theirs: {some(unknown)}"
    lacking = [one.name for one in experiments if seeds - {*one.runs} and one.name not in unknown]
    if lacking:
        yield f"without all {len(seeds)} seeds, so compared over those they share: {some(lacking)}"


def _software(study: Study) -> Iterator[str]:
    versions: dict[str, dict[str, None]] = {}
    for run in study.runs:
        for name, value in run.software.items():
            versions.setdefault(name, {})[str(value)] = None
    for name, values in versions.items():
        yield f"{plain(name)}: {plain(', '.join(values))}"
