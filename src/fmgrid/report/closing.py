"""What to run next, how to do all of this again, and what is not in the report."""

import shlex
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from fmgrid.pages.document import Code, Items, Section, Text, code, plain
from fmgrid.records import TRAIN_IMAGES
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import listed, some
from fmgrid.statistics import common_seeds
from fmgrid.study import Axis, Group, Study, level_of, show_level
from fmgrid.words import counted

FEW_SEEDS = 5
MANY_SEEDS = 10
_MANY = 200  # more seeds than anybody would add
_SHOWN = 20
_VALUED = {"--only", "--logdir"}
_FLAGS = {"--replace", "--retry-failed", "--fail-fast", "--quiet", "-q", "--json"}


def next_section(evidence: Evidence, logdir: Path) -> Section:
    """Say which runs would tell most, with the commands."""
    study = evidence.study
    wishes = [*_unfinished(evidence, logdir), *_repeats(evidence, logdir)]
    wishes += _open_questions(evidence)
    for group in study.groups:
        wishes += [*_edges(evidence, group), *_fairness(study, group, logdir)]
    wishes += _selection(study, logdir)
    if not wishes:
        told = (
            "Nothing suggests itself: every hypothesis is settled, and no axis is best at its end."
        )
        return Section("What to run next", (Text(told),))
    return Section("What to run next", (Items(tuple(wishes)),))


def reproduce_section(evidence: Evidence, command: str) -> Section:
    """Show the commands, versions and machines that the figures come from."""
    study = evidence.study
    commands = list(dict.fromkeys(line for asked in study.asked for line in asked.commands))
    rows = [row for one in study.scored.values() for row in one.runs.values()]
    trained = [row for row in rows if not row.get("trained_as")]
    seconds = sum(row.get("seconds") or 0.0 for row in trained)
    runs = "The run" if len(rows) == 1 else f"The {len(rows):,} runs"
    shared = f" come from {counted(len(trained), 'training')}, and"
    told = (
        f"{runs}{shared if len(trained) < len(rows) else ''} took "
        f"{counted(round(seconds), 'second')} of one core in all. The same experiment and seed "
        "give the same bits on the same software and kind of processor."
    )
    listing = "\n".join(f"$ {line}" for line in [*commands, command])
    blocks: list[Text | Items | Code] = [Code(listing), Text(told)]
    software = _software(rows)
    if software:
        blocks.append(Items(tuple(software)))
    return Section("How to reproduce this", tuple(blocks))


def left_out_section(evidence: Evidence) -> Section:
    """Name what is in the folder, or was asked for, and is not in the figures."""
    study = evidence.study
    told = [plain(text) for text in study.left_out]
    told += [
        f"{plain(group.title)}: no complete run of {some(group.missing)}"
        for group in study.groups
        if group.missing
    ]
    apart = ", but where experiments differ from the baseline in one only" if study.baseline else ""
    told += [
        f"{plain(group.title)}: its settings vary together, so that no swing is given to any of "
        f"them{apart}"
        for group in study.groups
        if group.shape == "irregular"
    ]
    told += _uneven(study)
    if len(told) > _SHOWN:
        told = [*told[:_SHOWN], f"and {len(told) - _SHOWN} more; `fmgrid status` names them"]
    if not told:
        return Section("What was left out", (Text("Nothing: every run in the folder is in it."),))
    return Section("What was left out", (Items(tuple(told)),))


def _uneven(study: Study) -> Iterator[str]:
    """Name the experiments that lack seeds which others have."""
    known = set(study.seeds)
    lacking = [one.name for one in study.scored.values() if known - set(one.runs)]
    if not lacking:
        return
    shared = common_seeds([one.runs for one in study.scored.values()])
    how = "compared over those they share" if shared else "of which not all share any"
    yield f"without all of the {len(known)} seeds: {some(lacking)}; {how}"


def _unfinished(evidence: Evidence, logdir: Path) -> Iterator[str]:
    study = evidence.study
    failed = {name for name, one in study.experiments.items() if one.failures}
    if failed:
        again = _again(study, logdir, "--retry-failed", of=failed)
        yield f"Runs of {some(sorted(failed))} failed. Once the reason is mended: {again}."
    missing = [name for group in study.groups for name in group.missing if name not in failed]
    if missing or study.unfinished:
        names = some(list(dict.fromkeys([*missing, *study.unfinished])))
        yield f"Missing, unfinished or damaged: {names}. To train that: {_again(study, logdir)}."


def _repeats(evidence: Evidence, logdir: Path) -> Iterator[str]:
    study = evidence.study
    runs = [one.runs for one in study.scored.values()]
    shared = len(common_seeds(runs))
    if shared >= FEW_SEEDS:
        return
    seeds = counted(shared, "seed")
    if not shared:
        told = "No seed is shared by all experiments."
    elif len(runs) == 1:
        told = f"There {'is one run' if shared == 1 else f'are {shared} runs'} only."
    elif all(one.keys() == runs[0].keys() for one in runs):
        told = f"Every experiment has {seeds} only."
    else:
        told = f"All experiments share {seeds} only."
    yield (
        f"{told} Ten of each say much more: "
        f"{_again(study, logdir, '--seeds', ','.join(map(str, range(MANY_SEEDS))))}."
    )


def _open_questions(evidence: Evidence) -> Iterator[str]:
    for verdict in evidence.verdicts:
        more = verdict.more_seeds
        if verdict.word == "INCONCLUSIVE" and more is not None:
            advice = (
                "more than it is worth, unless so small a difference matters"
                if more > _MANY
                else ""
            )
            yield (
                f"{plain(verdict.stated.claim)}: about {counted(more, 'more seed')} would settle it"
                f"{', ' + advice if advice else ''}."
            )


def _edges(evidence: Evidence, group: Group) -> Iterator[str]:
    """Name axes whose best level is their last, with more to be had beyond."""
    for effect in evidence.effects:
        axis = next((axis for axis in group.axes if axis.name == effect.setting), None)
        if effect.group != group.title or axis is None or not effect.is_told_apart:
            continue
        if axis.is_numeric and effect.best in (axis.levels[0], axis.levels[-1]):
            beyond = _beyond(axis, effect.best)
            if beyond:
                yield (
                    f"{code(axis.name)} is best at the end of its axis, {show_level(effect.best)}: "
                    f"{beyond} comes next."
                )


def _beyond(axis: Axis, best: float) -> str:
    """Return the level that goes on where the axis ends, by its last ratio."""
    if best == axis.levels[-1]:
        ratio = axis.levels[-1] / axis.levels[-2] if axis.levels[-2] > 0 else 0.0
    else:
        ratio = axis.levels[0] / axis.levels[1] if axis.levels[1] > 0 else 0.0
    value = best * ratio
    if value <= 0 or (axis.name == "depth" and ratio < 1):
        return ""
    if all(type(level) is int for level in axis.levels):
        return f"{round(value)}" if round(value) not in (0, best) else ""
    return f"{value:.2g}"


def _fairness(study: Study, group: Group, logdir: Path) -> Iterator[str]:
    """Name comparisons that are not between equals."""
    names = {axis.name for axis in group.axes}
    of = {member.name for member in group.members}
    if group.confounded:
        images = max(member.images_seen or 0 for member in group.members)
        epochs = max(level_of(member, "epochs") or 1 for member in group.members)
        budget = f"train_images={_round(images // epochs)}"
        again = _again(study, _beside(logdir, "images"), "--set", budget, of=of)
        yield (
            f"{plain(group.title)} compares unequal amounts of data. The same for every "
            f"experiment: {again}."
        )
    if "optimizer" in names and "learning_rate" not in names and group.shape != "irregular":
        yield (
            f"{plain(group.title)} compares optimizers at one learning rate, which suits some of "
            "them and not others: a grid over both, or a `[[grid]]` for each, compares them at "
            "their best."
        )


def _round(number: int) -> int:
    """Return a number of one or two digits and zeros, which is easier to remember."""
    digits = max(0, len(str(number)) - 2)
    return max(1, int(round(number, -digits)))


def _selection(study: Study, logdir: Path) -> Iterator[str]:
    chosen = {one for one in study.scored.values() if one.settings.get("validation") == "test"}
    datasets = {one.settings.get("dataset") for one in chosen}
    images = min((TRAIN_IMAGES.get(name, 0) for name in datasets if name), default=0) // 6
    if not images or len(study.scored) == 1:
        return
    again = _again(study, _beside(logdir, "held-out"), "--set", f"validation={_round(images)}")
    yield (
        "Whatever is chosen here was chosen on the test images. To choose on images held out of "
        f"the training set, and score on the test images once: {again}."
    )


def _beside(logdir: Path, what: str) -> Path:
    """Return another log folder: finished runs are not run again with other settings."""
    return logdir.with_name(f"{logdir.resolve().name}-{what}")


def _again(study: Study, logdir: Path, *further: str, of: Set[str] | None = None) -> str:
    """Return the commands that ran grids with any of some experiments, with further words."""
    lines: dict[str, None] = {}
    for asked in study.asked:
        if asked.names and (of is None or of & set(asked.names)):
            words = ["fmgrid", "run", asked.path]
            if asked.commands:
                words = _bare(asked.commands[-1], _VALUED | ({"--seeds"} & set(further)))
            lines[_with(words, logdir, further)] = None
    found = list(lines) or [_with(["fmgrid", "run", "GRID"], logdir, further)]
    return listed([code(line) for line in found])


def _with(words: Sequence[str], logdir: Path, further: Sequence[str]) -> str:
    where = [] if logdir == Path("modellogs") else ["--logdir", str(logdir)]
    return shlex.join([*words, *further, *where])


def _bare(command: str, valued: Set[str]) -> list[str]:
    """Return a command without what says which of its runs, where and how, and *valued* options."""
    words = iter(shlex.split(command))
    kept = []
    for word in words:
        name, is_joined, _ = word.partition("=")
        if name in valued:
            if not is_joined:
                next(words, None)
        elif word not in _FLAGS:
            kept.append(word)
    return kept


def _software(rows: Sequence[object]) -> list[str]:
    versions: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, value in (row.get("software") or {}).items():  # type: ignore[attr-defined]
            versions.setdefault(name, {})[str(value)] = None
    return [f"{plain(name)}: {plain(', '.join(values))}" for name, values in versions.items()]
