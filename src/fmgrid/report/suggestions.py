"""What to run next: which runs would tell most, with commands that can be pasted."""

import re
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from fmgrid.analysis.axes import Axis, Group, level_of
from fmgrid.analysis.experiments import UNKNOWN_SEED
from fmgrid.analysis.statistics import common_seeds
from fmgrid.analysis.study import Study
from fmgrid.data.catalogue import DATASETS
from fmgrid.hypotheses.commands import (
    absolute,
    grid_word,
    grid_words,
    is_here,
    is_inside,
    last_command,
    option_words,
    path_word,
)
from fmgrid.hypotheses.records import GridRecord
from fmgrid.pages.document import Items, Section, Text, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import listed, some
from fmgrid.settings import show
from fmgrid.words import command_line, counted

FEW_SEEDS = 5
MANY_SEEDS = 10
_MANY = 200  # more seeds than anybody would add
_VALUED = {"--only", "--seeds", "--logdir"}
_FLAGS = {"--replace", "--retry-failed", "--fail-fast", "--quiet", "-q", "--json", "--dry-run"}
_OTHERS_VALUED = {
    *("-j", "--jobs", "--set", "--max-runs", "--max-failures"),
    *("--data-dir", "--timeout", "--memory"),
}
# A word of a command as it was typed, quotes included
_WORD = re.compile(r"""(?:\$'(?:\\.|[^'\\])*'|'[^']*'|"[^"]*"|[^\s'"])+""")
_SEEDS = re.compile(r"--seeds[ =]'?([0-9]{1,10}(?:, *[0-9]{1,10})*)")


def next_section(evidence: Evidence, logdir: Path) -> Section:
    """Say which runs would tell most, with the commands."""
    study = evidence.study
    wishes = [*_failures(study, logdir), *_unfinished(study, logdir), *_repeats(study, logdir)]
    wishes += _open_questions(evidence)
    for group in study.groups:
        wishes += [*_edges(evidence, group), *_fairness(study, group, logdir)]
    wishes += _selection(study, logdir)
    if not wishes:
        return Section("What to run next", (Text(_nothing(evidence)),))
    return Section("What to run next", (Items(tuple(wishes)),))


def _nothing(evidence: Evidence) -> str:
    """Say why there is nothing to run next."""
    why = []
    if evidence.verdicts and all(one.word != "INCONCLUSIVE" for one in evidence.verdicts):
        why.append("every hypothesis is settled")
    if any(effect.is_significant for effect in evidence.effects):
        why.append("no axis that could go on is best at its end")
    return f"Nothing suggests itself{f': {listed(why)}' if why else ''}."


def _failures(study: Study, logdir: Path) -> Iterator[str]:
    if failed := study.failed:
        number = sum(len(study.experiments[name].failures) for name in failed)
        again = _again(study, logdir, "--retry-failed", of=set(failed))
        yield (
            f"{'A run' if number == 1 else f'{number:,} runs'} of {some(failed)} failed. Once the "
            f"reason is mended: {again}."
        )


def _unfinished(study: Study, logdir: Path) -> Iterator[str]:
    """Name what the same command again would train."""
    runs = {path.rpartition("/")[2] for path in study.unfinished}  # below a log folder's own name
    begun = {re.sub(r"_s\d+$", "", name) for name in runs} | runs
    asked = dict.fromkeys(name for grid in study.asked for name in grid.names)
    known = {*study.scored, *study.failed, *begun}
    missing = [name for name in asked if name not in known]
    told = []
    if missing:
        told.append(f"Without a complete run: {some(missing)}.")
    if study.unfinished:
        told.append(f"Not finished, or damaged: {some(study.unfinished)}.")
    if told:
        yield f"{' '.join(told)} To train that: {_again(study, logdir, of={*missing, *begun})}."


def _repeats(study: Study, logdir: Path) -> Iterator[str]:
    runs = [one.runs for one in study.scored.values()]
    shared = len(set(common_seeds(runs)) - {UNKNOWN_SEED})
    if shared >= FEW_SEEDS:
        return
    seeds = "one seed" if shared == 1 else f"{shared} seeds"
    if not study.seeds:
        told = "No seed is known."
    elif not shared:
        told = "No seed is shared by all experiments."
    elif len(runs) == 1:
        told = (
            f"There {'is one complete run' if shared == 1 else f'are {shared} complete runs'} only."
        )
    elif all(one.keys() == runs[0].keys() for one in runs):
        told = f"Every experiment has {seeds} only."
    else:
        told = f"All experiments share {seeds} only."
    further = [seed for seed in range(MANY_SEEDS) if seed not in study.seeds]
    ten = sorted([*study.seeds, *further[: max(0, MANY_SEEDS - len(study.seeds))]])
    again = _again(study, logdir, "--seeds", ",".join(map(str, ten)))
    yield f"{told} Ten of each say much more: {again}."


def _open_questions(evidence: Evidence) -> Iterator[str]:
    unsettled = [one for one in evidence.verdicts if one.word == "INCONCLUSIVE"]
    needed = [(one.more_seeds, f"*{plain(one.stated.claim)}*") for one in unsettled]
    known = sorted((seeds, claim) for seeds, claim in needed if seeds is not None)
    for seeds, claim in known:
        if seeds <= _MANY:
            yield f"About {counted(seeds, 'more seed')} would settle {claim}."
    if many := [f"{claim} (about {seeds:,} more)" for seeds, claim in known if seeds > _MANY]:
        yield (
            "It takes more seeds than it is worth, unless so small a difference matters, to settle "
            f"{listed(many)}."
        )


def _edges(evidence: Evidence, group: Group) -> Iterator[str]:
    """Name axes whose best level is their last, with more to be had beyond."""
    for effect in evidence.effects:
        axis = next((axis for axis in group.axes if axis.name == effect.setting), None)
        if effect.group != group.title or axis is None or not effect.is_significant:
            continue
        if axis.is_numeric and effect.best in (axis.levels[0], axis.levels[-1]):
            beyond = _beyond(axis, effect.best)
            if beyond:
                yield (
                    f"{code(axis.name)} is best at the end of its axis, {show(effect.best)}: "
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
    # Where the axis itself says how long an epoch is, no setting can take its place.
    if group.confounded and not names & {"train_steps", "train_images"}:
        images = max(
            (one.images_seen or 0) // (level_of(one, "epochs") or 1) for one in group.members
        )
        budget = f"train_images={_round_up(images)}"
        of = {member.name for member in group.members}
        again = _again(study, _beside(logdir, "images"), "--set", budget, of=of)
        yield (
            f"{plain(group.title)} compares unequal amounts of data. The same in every "
            f"epoch: {again}."
        )
    if "optimizer" in names and "learning_rate" not in names and group.shape != "irregular":
        yield (
            f"{plain(group.title)} compares optimizers at one learning rate, which suits some of "
            "them and not others: a grid over both, or a `[[grid]]` for each, compares them at "
            "their best."
        )


def _round_up(number: int) -> int:
    """Return a number of two digits and zeros, which is easier to remember, and no smaller one."""
    step = int(10 ** max(0, len(str(number)) - 2))
    return -(-number // step) * step


def _selection(study: Study, logdir: Path) -> Iterator[str]:
    chosen = [
        one
        for one in study.scored.values()
        if one.settings.get("validation") == "test" and one.settings.get("dataset") in DATASETS
    ]
    if len(study.scored) == 1 or not chosen:
        return
    images = min(DATASETS[one.settings["dataset"]].train_images for one in chosen)
    held_out = _round_up(images // 6)
    if max(one.settings["batch_size"] for one in chosen) > images - held_out:
        return
    of = {one.name for one in chosen}
    setting = f"validation={held_out}"
    what = (
        "Whatever is chosen here"
        if len(chosen) == len(study.scored)
        else f"What is chosen of {len(chosen)} of the {len(study.scored)} experiments"
    )
    again = _again(study, _beside(logdir, "held-out"), "--set", setting, of=of)
    yield (
        f"{what} is chosen on the test images. To choose on images held out of "
        f"the training set, and score on the test images once: {again}."
    )


def _beside(logdir: Path, what: str) -> Path:
    """Return another log folder: finished runs are not run again with other settings."""
    named = logdir if logdir.name not in ("", "..") else logdir.resolve()
    return Path(f"{named}-{what}")


def _again(study: Study, logdir: Path, *further: str, of: Set[str] | None = None) -> str:
    """Return the commands that run grids again, with further words; all, or those *of* some."""
    grids = [asked for asked in study.asked if asked.names]
    concerned = [asked for asked in grids if of is None or of & {*asked.names}]
    runs: dict[str, dict[str, None]] = {}
    for asked in concerned:
        paths, options, here = _typed(asked, grids, concerned)
        here = here and is_inside(str(logdir))
        if not here:
            paths, options, _ = _typed(asked, grids, concerned, anywhere=True)
        seeds = [] if "--seeds" in further else _seeds(study, asked)
        rest = command_line([*seeds, *further, *_into(logdir, here=here)])
        runs.setdefault(f"{options} {rest}", {})[paths] = None
    if not runs:
        return code(f"fmgrid run GRID {command_line([*further, *_into(logdir, here=True)])}")
    return listed([code(f"fmgrid run {' '.join(paths)} {rest}") for rest, paths in runs.items()])


def _into(logdir: Path, *, here: bool) -> list[str]:
    """Return the option for a log folder, none for the default of a command that is typed here."""
    if here and logdir == Path("modellogs"):
        return []
    return ["--logdir", path_word(logdir) if here else absolute(str(logdir))]


def _seeds(study: Study, asked: GridRecord) -> list[str]:
    """Return the option for all seeds that a grid was run with, nothing for those it names."""
    known = {command.text for command in asked.runs}
    seeds = {seed for command in asked.runs for seed in command.seeds}
    for command in asked.commands:
        if command not in known:
            seeds |= {int(seed) for text in _SEEDS.findall(command) for seed in text.split(",")}
    if not seeds:
        return []
    mine = [study.experiments[name] for name in asked.names if name in study.experiments]
    runs = [run for one in mine for run in (*one.runs.values(), *one.failures)]
    seeds |= {run.seed for run in runs if run.seed is not None}
    return ["--seeds", ",".join(map(str, sorted(seeds)))]


def _typed(
    asked: GridRecord,
    grids: Sequence[GridRecord],
    concerned: Sequence[GridRecord],
    *,
    anywhere: bool = False,
) -> tuple[str, str, bool]:
    """Return which grids the command named that last ran this one, its options, and if they hold.

    But for options that say which of its runs, where and how. Of several grids that a command ran
    only those concerned are named. *anywhere* asks for paths that hold in every folder.
    """
    command = last_command(asked)
    path, is_typed = grid_word(asked, command)
    if command is None:
        return _typed_as_text(asked, path, is_all=len(concerned) == len(grids))
    here = is_here(command) and not anywhere
    options = command_line(option_words(command, here=here, without={*_VALUED, *_FLAGS}))
    together = [one for one in grids if command in one.runs]
    if all(one in concerned and last_command(one) == command for one in together):
        return command_line(grid_words(command, here=here)), options, here
    if anywhere:
        path = absolute(path, command.folder)
    return command_line([path]), options, here and is_typed


def _typed_as_text(asked: GridRecord, path: str, *, is_all: bool) -> tuple[str, str, bool]:
    """Return the same of a grid whose commands are known as text only."""
    named = _grid(path)
    if not asked.commands:
        return named, "", True
    words = iter(_WORD.findall(asked.commands[-1])[2:])
    grids, options = [], []
    for word in words:
        name, is_joined, _ = word.lstrip("$'").partition("=")
        if name in _VALUED:
            if not is_joined:
                next(words, None)
        elif name in _OTHERS_VALUED:
            options += [word] if is_joined else [word, next(words, "")]
        elif word.startswith("-"):
            options += [] if word in _FLAGS else [word]
        else:
            grids.append(word)
    return (" ".join(grids) or named) if is_all else named, " ".join(options), True


def _grid(path: str) -> str:
    """Return a grid's path as one types it, or a word for one whose name is no text."""
    if "\\" in path:
        return "GRID"
    return command_line([path])
