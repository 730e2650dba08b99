"""What follows from the runs: five sentences, which settings matter, what luck would have found."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist, median

from fmgrid.analysis.comparisons import as_good_as_best, find_winners
from fmgrid.analysis.effects import Effect
from fmgrid.analysis.experiments import ExperimentRuns, best_by_images, images_of
from fmgrid.analysis.statistics import CONFIDENCE, ROUNDING
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import WORDS, open_over_all
from fmgrid.pages.document import Cell, Column, Picture, Section, Table, Text, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import (
    difference_with_interval,
    figure,
    listed,
    number,
    show_difference,
    show_p,
    show_size,
    some,
    unit_of,
    with_interval,
)
from fmgrid.settings import show
from fmgrid.words import counted


def summary_section(evidence: Evidence) -> Section:
    """Say in five sentences what was done and what came of it."""
    sentences = (
        _what_was_run(evidence),
        _what_is_best(evidence),
        _what_matters(evidence),
        _what_is_noise(evidence),
        _what_was_expected(evidence),
    )
    return Section("Summary", (Text(" ".join(sentences)),))


def impact_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section:
    """Rank the settings by what they move."""
    if not evidence.effects:
        return Section("Which settings matter", (Text(f"{_why_no_effect(evidence)}."),))
    unit = unit_of(evidence.metric)
    columns = (
        *(number("rank"), Column("setting"), Column("best"), Column("worst")),
        *(number(f"swing ({unit})"), number("p"), Column("told apart")),
        *(number(f"swing of equals ({unit})"), Column("group")),
    )
    rows = tuple(
        _effect_row(rank, effect, evidence) for rank, effect in enumerate(evidence.effects, start=1)
    )
    blocks: list[Text | Table | Picture] = [
        Text(
            "A setting's swing is the difference between its best and its worst level, over the "
            "seeds that both have. They are picked after looking, so that intervals hold for all "
            "pairs of levels at once (Bonferroni), and the swing that equals would show, 19 times "
            "in 20, stands beside it (Tukey). p is corrected for the number of settings, too "
            "(Holm), and decides what is told apart. In a factorial grid a level is the mean over "
            "all the others. Rank is by what these levels move: another choice of levels gives "
            "another rank."
        ),
    ]
    if picture := pictures.get("effects"):
        blocks.append(picture)
    blocks.append(Table(columns, rows, "The settings, ranked by what they move"))
    for effect in evidence.effects:
        if effect.images:
            low, high = effect.images
            blocks.append(
                Text(
                    f"{code(effect.setting)} in {plain(effect.group)} is **confounded** with the "
                    f"images seen: experiments that differ in nothing else saw unequal numbers, "
                    f"such as {low:,} and {high:,}."
                )
            )
    return Section("Which settings matter", tuple(blocks))


def luck_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section | None:
    """Say what a single run of each experiment would have found, None if there was but one."""
    winners = winners_by_seed(evidence)
    if len(winners) < 2:  # noqa: PLR2004
        return None
    best = list(dict.fromkeys(name for names in winners.values() for name in names))
    are_equal = all(len(names) == len(best) for names in winners.values())
    told = (
        f"With one run of each experiment, {counted(len(best), 'experiment')} would have been "
        f"called the best, depending on the seed: {some(best)}."
        f"{' They are equal with every seed.' if are_equal else ''}"
        if len(best) > 1
        else f"With any of {len(winners)} seeds alone, {code(best[0])} would have been called the "
        "best."
    )
    blocks: tuple[Text | Picture, ...] = (Text(told),)
    if picture := pictures.get("winners_by_seed"):
        blocks += (picture,)
    return Section("What one run would have concluded", blocks)


def winners_by_seed(evidence: Evidence) -> dict[int, list[str]]:
    """Return which experiments are best with each seed that all of them have; equals all are."""
    winners = find_winners(evidence.study, evidence.metric)
    return winners.by_seed if winners else {}


def _what_was_run(evidence: Evidence) -> str:
    study = evidence.study
    experiments = list(study.experiments.values())
    runs = [len(one.runs) + len(one.failures) for one in experiments]
    failed = sum(len(one.failures) for one in experiments)
    fewest, most = min(runs), max(runs)
    if len(experiments) == 1:
        told = "One experiment was trained"
        told += " once" if most == 1 else f" with {most} seeds"
    else:
        groups = f" in {len(study.groups)} groups" if len(study.groups) > 1 else ""
        seeds = f"{most}" if fewest == most else f"{fewest} to {most}"
        times = "once each" if most == 1 else f"with {seeds} seeds each, {sum(runs):,} runs in all"
        told = f"{len(experiments):,} experiments{groups} were trained {times}"
    if failed:
        told += f"; {counted(failed, 'run')} failed"
    return f"{told}."


def _what_is_best(evidence: Evidence) -> str:
    """Say which experiments are best, of those that the same images judge."""
    sets = best_by_images(evidence.study.configurations, evidence.metric)
    if len(sets) == 1:
        return _best_of(sets[0], evidence.metric)
    shown = [f"Scored on {images_of(one[0])}, {_best_of(one, evidence.metric)}" for one in sets[:2]]
    return " ".join(shown)


def _best_of(ranked: Sequence[ExperimentRuns], metric: str) -> str:
    best, *others = ranked
    told = with_interval(best.estimate(metric), metric)
    if not others:
        return f"{code(best.name)} scores {told}."
    told = f"{code(best.name)} scores best, with {told}"
    if len(best.series(metric)) < 2:  # noqa: PLR2004
        return f"{told}, in a single run, from which nothing can be concluded."
    _, *tied = as_good_as_best([best, *others], metric)
    if len(others) == 1:
        verb = "cannot be told" if tied else "is told"
        conjunction = "but" if tied else "and"
        return f"{told}, {conjunction} {code(others[0].name)} {verb} from it."
    if not tied:
        return f"{told}, and is told apart from all {len(others)} others."
    if len(tied) == len(others):
        return f"{told}, but none of the {len(others)} others can be told from it."
    return (
        f"{told}, but {len(tied)} of the {len(others)} other configurations cannot be told from "
        f"it: {some([one.name for one in tied])}."
    )


def _what_matters(evidence: Evidence) -> str:
    effects = evidence.effects
    if not effects:
        return f"{_why_no_effect(evidence)}, so that none can be given credit."
    if all(effect.difference.sd is None for effect in effects):
        return "No two levels of a setting share two seeds, so that no effect can be called one."
    apart = [effect for effect in effects if effect.is_significant]
    within = [effect for effect in effects if not effect.is_significant]
    if not apart:
        if len(effects) == 1:
            return f"The effect of {_in_words(effects[0], evidence)} may be noise."
        return f"None of the {len(effects)} effects of settings can be told from noise."
    told = f"What matters is {listed([_in_words(one, evidence) for one in apart])}"
    if within:
        names = listed([_in_words(one, evidence) for one in within])
        told += f", while the effect{'s' if len(within) > 1 else ''} of {names} may be noise"
    return f"{told}."


def _in_words(effect: Effect, evidence: Evidence) -> str:
    several = sum(other.setting == effect.setting for other in evidence.effects) > 1
    group = f" in {plain(effect.group)}" if several else ""
    size = show_size(abs(effect.difference.mean), evidence.metric)
    remarks = "".join(f", {remark}" for remark in _remarks(effect, evidence.study))
    return f"{code(effect.setting)}{group} ({size}{remarks})"


def _remarks(effect: Effect, study: Study) -> list[str]:
    """Say on what terms an effect is one."""
    told = ["confounded with the images seen"] if effect.images else []
    if effect.through:
        told.append(f"with all else as in {code(effect.through)}")
    group = next(one for one in study.groups if one.title == effect.group)
    rates = {one.settings.get("learning_rate") for one in group.members}
    if effect.setting == "optimizer" and len(rates) == 1:
        told.append(f"all at learning rate {show(rates.pop())}")
    return told


def _why_no_effect(evidence: Evidence) -> str:
    if any(group.axes for group in evidence.study.groups):
        return "No two experiments that differ in one setting share a seed"
    return "No setting varies"


def _what_is_noise(evidence: Evidence) -> str:
    scatter = evidence.study.scatter(evidence.metric)
    if not scatter:
        return (
            "No configuration was run with two seeds, so that the noise of a run is not known, "
            "and no difference can be called one."
        )
    beyond = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)  # standard deviations
    typical = median(scatter)
    least, most = (show_size(sd, evidence.metric) for sd in (scatter[0], scatter[-1]))
    several = f", the median of {len(scatter)} from {least.removesuffix(' points')} to {most}"
    told = (
        f"A single run lies {show_size(typical, evidence.metric)} from the mean of its "
        f"configuration (standard deviation{several if len(scatter) > 1 else ''}), so that two "
        f"single runs must {'typically ' if len(scatter) > 1 else ''}be "
        f"{show_size(beyond * 2**0.5 * typical, evidence.metric)} apart before that says anything"
    )
    steps = [gain.difference for gain in evidence.gains if gain.difference.sd is not None]
    small = sum(abs(step.mean) <= beyond * (step.sd or 0.0) for step in steps)
    if len(steps) == 1:
        told += (
            f", and the only step between two levels is too {'small' if small else 'large'} for "
            f"one run of each to {'show' if small else 'hide'}"
        )
    elif steps:
        some_of_them = f"{small or 'none'} of the {len(steps)}"
        if small == len(steps):
            some_of_them = "both" if small == 2 else f"all {small}"  # noqa: PLR2004
        told += (
            f", and {some_of_them} steps between neighbouring levels are too small for one run of "
            "each to show"
        )
    return f"{told}."


def _what_was_expected(evidence: Evidence) -> str:
    words = [one.word for one in evidence.verdicts]
    if not words:
        return "No hypothesis was stated."
    if len(words) == 1:
        return f"The hypothesis that was stated is {words[0].lower()}."
    counts = {word: words.count(word) for word in WORDS if word in words}
    told = [f"{count} {'is' if count == 1 else 'are'} {w.lower()}" for w, count in counts.items()]
    open_ = len(open_over_all(evidence.verdicts))
    further = (
        f", of which {open_} would be inconclusive if corrected over all grids together"
        if open_
        else ""
    )
    return f"Of {len(words)} hypotheses that were stated, {listed(told)}{further}."


def _effect_row(rank: int, effect: Effect, evidence: Evidence) -> tuple[Cell, ...]:
    metric = evidence.metric
    remarks = "; ".join(_remarks(effect, evidence.study))
    noise = "" if effect.noise is None else show_difference(effect.noise, metric).lstrip("+")
    known = effect.difference.sd is not None
    is_flat = abs(effect.difference.mean) <= ROUNDING
    levels = (show(level) for level in (effect.best, effect.worst))
    best, worst = ("none", "none") if is_flat else levels
    return (
        figure(str(rank), rank),
        Cell(code(effect.setting) + (f" ({remarks})" if remarks else "")),
        Cell(plain(best)),
        Cell(plain(worst)),
        figure(difference_with_interval(effect.difference, metric), effect.difference.mean),
        figure(show_p(effect.p) if known else "", effect.p),
        Cell(("yes" if effect.is_significant else "no") if known else "one seed: not known"),
        figure(noise, effect.noise),
        Cell(plain(effect.group)),
    )
