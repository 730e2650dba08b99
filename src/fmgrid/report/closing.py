"""What to run next, how to do all of this again, and what is not in the report."""

import shlex
from collections.abc import Iterator, Sequence

from fmgrid.pages.document import Code, Items, Section, Text, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import some
from fmgrid.study import Axis, Group, level_of, show_level
from fmgrid.words import counted

FEW_SEEDS = 5
_MANY = 200  # more seeds than anybody would add
_SHOWN = 20


def next_section(evidence: Evidence) -> Section:
    """Say which runs would tell most, with the commands."""
    wishes = [*_unfinished(evidence), *_repeats(evidence), *_open_questions(evidence)]
    for group in evidence.study.groups:
        wishes += [*_edges(evidence, group), *_fairness(group)]
    wishes += _selection(evidence)
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
    told = (
        f"{counted(len(rows), 'run')} from {counted(len(trained), 'training')}, which took "
        f"{seconds:,.0f} seconds of one core in all. The same experiment and seed give the same "
        "bits on the same software and kind of processor."
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
    told += [
        f"{plain(group.title)}: its settings vary together, so that no swing is given to any of "
        "them, but where experiments differ from the baseline in one only"
        for group in study.groups
        if group.shape == "irregular"
    ]
    uneven = [one for one in study.scored.values() if len(one.runs) < len(study.seeds)]
    if uneven and study.repeats < len(study.seeds):
        names = some([one.name for one in uneven])
        told.append(f"not all of {len(study.seeds)} seeds: {names}; compared over those they share")
    if len(told) > _SHOWN:
        told = [*told[:_SHOWN], f"and {len(told) - _SHOWN} more; `fmgrid status` names them"]
    if not told:
        return Section("What was left out", (Text("Nothing: every run in the folder is in it."),))
    return Section("What was left out", (Items(tuple(told)),))


def _unfinished(evidence: Evidence) -> Iterator[str]:
    study = evidence.study
    failed = [name for name, one in study.experiments.items() if one.failures]
    if failed:
        command = _run(evidence, "--retry-failed")
        yield f"Runs of {some(failed)} failed: once the reason is mended, {command}."
    missing = [name for group in study.groups for name in group.missing]
    never = [name for name in missing if name not in failed]
    if never:
        yield f"Without a complete run: {some(never)}. To train what is missing: {_run(evidence)}."


def _repeats(evidence: Evidence) -> Iterator[str]:
    study = evidence.study
    if study.repeats < FEW_SEEDS:
        yield (
            f"Some experiments have {counted(study.repeats, 'seed')} only. Ten of each say much "
            f"more: {_run(evidence, '--seeds 0,1,2,3,4,5,6,7,8,9')}."
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


def _fairness(group: Group) -> Iterator[str]:
    """Name comparisons that are not between equals."""
    names = {axis.name for axis in group.axes}
    if group.confounded:
        images = max(member.images_seen or 0 for member in group.members)
        epochs = max(level_of(member, "epochs") or 1 for member in group.members)
        yield (
            f"{plain(group.title)} compares unequal amounts of data. `--set train_images="
            f"{_round_images(images // epochs)}` gives every experiment the same."
        )
    if "optimizer" in names and "learning_rate" not in names and group.shape != "irregular":
        yield (
            f"{plain(group.title)} compares optimizers at one learning rate, which suits some of "
            "them and not others: a grid over both, or a `[[grid]]` for each, compares them at "
            "their best."
        )


def _round_images(images: int) -> int:
    """Return a budget of two digits, which is easier to remember."""
    digits = max(0, len(str(images)) - 2)
    return max(1, int(round(images, -digits)))


def _selection(evidence: Evidence) -> Iterator[str]:
    scored_on = {one.settings.get("validation") for one in evidence.study.scored.values()}
    if "test" in scored_on and len(evidence.study.scored) > 1:
        yield (
            "Whatever is chosen here was chosen on the test images. With `--set validation=10000` "
            "it is chosen on images held out of the training set, and scored on the test "
            "images once."
        )


def _run(evidence: Evidence, options: str = "") -> str:
    paths = [asked.path for asked in evidence.study.asked if asked.names]
    folders = {path.rpartition("/")[0] for path in paths}
    where = paths if len(paths) <= 2 else sorted(folder for folder in folders if folder)  # noqa: PLR2004
    told = " ".join(map(shlex.quote, where)) or "GRID"
    return code(f"fmgrid run {told}{' ' + options if options else ''}")


def _software(rows: Sequence[object]) -> list[str]:
    versions: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, value in (row.get("software") or {}).items():  # type: ignore[attr-defined]
            versions.setdefault(name, {})[str(value)] = None
    return [f"{plain(name)}: {plain(', '.join(values))}" for name, values in versions.items()]
