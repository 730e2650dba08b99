"""How to go on: the most informative runs, the commands of these runs, and the missing runs."""

import re
from collections.abc import Iterator, Set
from pathlib import Path

from fmgrid.analysis.evidence import Evidence
from fmgrid.analysis.statistics import common_seeds
from fmgrid.analysis.study import Study
from fmgrid.data.catalogue import DATASETS
from fmgrid.hypotheses.commands import path_word
from fmgrid.hypotheses.registry import GridRecord
from fmgrid.pages.document import Code, Section, code, plain
from fmgrid.reporting.phrases import section, some
from fmgrid.settings import show
from fmgrid.words import command_line, counted

_SHOWN = 20  # of what was left out
FEW_SEEDS = 5
MANY_SEEDS = 10
_SAME_BITS = (
    " The same experiment and seed give the same bits on the same software and kind of processor."
)
# Options that choose among the runs of a grid, or say how a command goes about them
_DROPPED = frozenset(
    {"--only", "--replace", "--retry-failed", "--fail-fast", "--quiet", "-q", "--json", "--dry-run"}
)


def next_section(evidence: Evidence, logdir: Path) -> Section:
    """Suggest runs, with the commands."""
    study = evidence.study
    items = [
        *_incomplete(study, logdir),
        *_more_seeds(study, logdir),
        *_edges(evidence),
        *_unequal(study, logdir),
        *_held_out(study, logdir),
    ]
    return section("What to run next", items or "Nothing suggests itself.")


def _incomplete(study: Study, logdir: Path) -> Iterator[str]:
    """Name the runs that failed, and those that the same command again would train."""
    if study.failed:
        again = _again(study, logdir, "--retry-failed", names={*study.failed})
        yield f"With failed runs: {some(study.failed)}; to try again: {again}."
    runs = {path.rpartition("/")[2] for path in study.unfinished}  # below a log folder's own name
    begun = {re.sub(r"_s\d+$", "", name) for name in runs} | runs
    planned = dict.fromkeys(name for grid in study.grids for name in grid.names)
    missing = [name for name in planned if name not in {*study.scored, *study.failed, *begun}]
    if missing or study.unfinished:
        again = _again(study, logdir, names={*missing, *begun})
        yield f"Not complete: {some([*missing, *study.unfinished])}; to train the rest: {again}."


def _more_seeds(study: Study, logdir: Path) -> Iterator[str]:
    fewest = min((len(experiment.runs) for experiment in study.unseeded), default=FEW_SEEDS)
    if fewest < FEW_SEEDS:
        yield (
            f"Repeats of each experiment of plain mltrainer: {fewest} or more. Train each again "
            "with the same settings: ten say much more."
        )
    runs = [experiment.runs for experiment in study.scored.values() if experiment.has_seeds]
    shared = common_seeds(runs)
    if not runs or len(shared) >= FEW_SEEDS:
        return
    known = f"Seeds that all experiments share: {len(shared)}. "
    if len(study.seeds) > 1:  # what was looked at is no fresh comparison
        fresh = range(max(study.seeds) + 1, max(study.seeds) + 1 + MANY_SEEDS)
        seeds, folder = ",".join(map(str, fresh)), _beside(logdir, "fresh")
        yield f"{known}Ten fresh ones, looked at once: {_again(study, folder, '--seeds', seeds)}."
        return
    seeds = ",".join(map(str, sorted({*study.seeds, *range(MANY_SEEDS)})))
    yield f"{known}Ten say much more: {_again(study, logdir, '--seeds', seeds)}."


def _edges(evidence: Evidence) -> Iterator[str]:
    """Name settings whose best level is the first or the last that was tried."""
    groups = evidence.study.groups
    axes = {(group.title, axis.name): axis for group in groups for axis in group.axes}
    for effect in evidence.effects:
        axis = axes.get((effect.group, effect.setting))
        ends = (axis.levels[0], axis.levels[-1]) if axis and axis.is_numeric else ()
        if effect.is_significant and effect.best in ends:
            yield (
                f"{code(effect.setting)} is best at {show(effect.best)}, the end of its "
                f"levels in {plain(effect.group)}; a level beyond may be better."
            )


def _unequal(study: Study, logdir: Path) -> Iterator[str]:
    """Suggest a budget of images for groups whose epochs have unequal numbers of them."""
    for group in study.groups:
        names = {axis.name for axis in group.axes}
        # An axis that says how long an epoch is can't be replaced by a setting.
        if group.confounded and names.isdisjoint({"train_steps", "train_images"}):
            images = max(
                (member.images_seen or 0) // (member.settings["epochs"] or 1)
                for member in group.members
            )
            budget = f"train_images={images}"
            members = {member.name for member in group.members}
            again = _again(study, _beside(logdir, "images"), "--set", budget, names=members)
            yield f"{plain(group.title)} compares unequal numbers of images; equal ones: {again}."


def _held_out(study: Study, logdir: Path) -> Iterator[str]:
    """Suggest to choose by held-out images, where experiments are chosen by the test images."""
    tested = {
        name: experiment.settings
        for name, experiment in study.scored.items()
        if experiment.settings.get("validation") == "test"
        if experiment.settings.get("dataset") in DATASETS
    }
    sizes = [DATASETS[settings["dataset"]].train_images for settings in tested.values()]
    images = min(sizes, default=0)
    held_out = images // 60 * 10
    batch = max((settings["batch_size"] for settings in tested.values()), default=0)
    if tested and len(study.scored) > 1 and batch <= images - held_out:
        setting, folder = f"validation={held_out}", _beside(logdir, "held-out")
        again = _again(study, folder, "--set", setting, names=tested.keys())
        yield f"To choose by held-out images, and keep the test images for the end: {again}."


def _beside(logdir: Path, purpose: str) -> Path:
    """Return another log folder: finished runs are not trained again with other settings."""
    folder = logdir if logdir.name not in ("", "..") else logdir.resolve()
    return Path(f"{folder}-{purpose}")


def _again(study: Study, logdir: Path, *further: str, names: Set[str] | None = None) -> str:
    """Return the commands that run grids again with further words: all, or those of *names*."""
    grids = [grid for grid in study.grids if grid.names]
    concerned = [grid for grid in grids if names is None or names & {*grid.names}]
    further = (*further, "--logdir", path_word(logdir))
    if not concerned:
        return code(command_line(["fmgrid", "run", "GRID", *further]))
    paths: dict[tuple[str, str], list[str]] = {}  # by what stands before and after them
    for grid in concerned:
        words = [*further]
        command = grid.last_run
        if command is None:  # as of fmgrid 0.1, which kept commands as text only
            typed = grid.commands[-1:] or [command_line(["fmgrid", "run", grid.word()])]
            paths[typed[0], command_line(words)] = []
            continue
        if "--seeds" not in further:
            words = [*_seeds_of(study, grid), *words]
        words = [*command.option_words(without=_DROPPED), *words]
        records = [record for record in grids if command in record.runs]
        are_all = all(record in concerned and record.last_run == command for record in records)
        files = command.grid_words() if are_all else [grid.word()]
        paths.setdefault(("fmgrid run", command_line(words)), []).append(command_line(files))
    return ", ".join(
        code(" ".join([begin, *dict.fromkeys(files), end])) for (begin, end), files in paths.items()
    )


def _seeds_of(study: Study, grid: GridRecord) -> list[str]:
    """Return the option for all seeds that a grid was run with, nothing if it names them itself."""
    seeds = {seed for command in grid.runs for seed in command.seeds}
    if not seeds:
        return []
    scored = [study.scored[name] for name in grid.names if name in study.scored]
    seeds = seeds.union(*(experiment.runs for experiment in scored if experiment.has_seeds))
    return ["--seeds", ",".join(map(str, sorted(seeds)))]


def reproduce_section(evidence: Evidence, command: str) -> Section:
    """Show the commands, versions and machines that the figures come from."""
    study = evidence.study
    commands = dict.fromkeys(line for grid in study.grids for line in grid.lines())
    trained = [run for run in study.runs if not run.trained_as]
    seconds = sum(run.seconds or 0.0 for run in trained)
    return section(
        "How to reproduce this",
        Code("\n".join(f"$ {line}" for line in [*commands, command])),
        f"{counted(len(study.runs), 'run')} from {counted(len(trained), 'training')}: "
        f"{seconds:,.1f} seconds of one core.{_SAME_BITS if study.seeds else ''}",
        [*_software(study)],
    )


def left_out_section(evidence: Evidence, logdir: Path) -> Section:
    """Name what is in the folder or a grid, and not in the figures."""
    texts = [*not_compared(evidence), *map(plain, evidence.study.left_out)]
    if len(texts) > _SHOWN:
        status = code(command_line(["fmgrid", "status", path_word(logdir)]))
        texts = [*texts[:_SHOWN], f"{len(texts) - _SHOWN} more; {status} names all"]
    return section("What was left out", texts or "Nothing: every run is in the report.")


def not_compared(evidence: Evidence) -> Iterator[str]:
    """Say what is in the folder and takes no part in some comparison."""
    study = evidence.study
    centers = {effect.group: effect.through for effect in evidence.effects if effect.through}
    seeds = {*study.seeds}
    runs = {name: experiment.runs for name, experiment in study.scored.items()}
    for group in study.groups:
        if group.missing:
            yield f"{plain(group.title)}: no complete run of {some(group.missing)}"
        if group.shape == "irregular":
            center = centers.get(group.title, "the baseline" if study.baseline else "")
            pairs = f", except where only one differs from {plain(center)}" if center else ""
            yield (
                f"{plain(group.title)} changes several settings at once, so no effect is credited "
                f"to one setting{pairs}"
            )
    unknown = [name for name, experiment in study.scored.items() if not experiment.has_seeds]
    if seeds and unknown:
        yield f"with unknown seeds, so no run is paired with theirs: {some(unknown)}"
    lacking = [name for name in runs if seeds - {*runs[name]} and name not in unknown]
    if lacking:
        yield f"without all {len(seeds)} seeds, so compared over those they share: {some(lacking)}"


def _software(study: Study) -> Iterator[str]:
    for name in dict.fromkeys(name for run in study.runs for name in run.software):
        values = dict.fromkeys(str(run.software.get(name, "")) for run in study.runs)
        yield f"{plain(name)}: {plain(', '.join(filter(None, values)))}"
