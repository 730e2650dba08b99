"""What follows from the runs: five sentences, verdicts on hypotheses, and which settings matter."""

from collections.abc import Mapping
from datetime import datetime
from statistics import NormalDist
from typing import get_args

from fmgrid.effects import Effect, as_good_as_best
from fmgrid.pages.document import Cell, Column, Picture, Section, Table, Text, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import (
    difference_with_interval,
    figure,
    is_fraction,
    listed,
    number,
    show_difference,
    show_p,
    show_size,
    some,
    unit_of,
    with_interval,
)
from fmgrid.statistics import CONFIDENCE
from fmgrid.study import Repeated, best_first, by_configuration, is_higher_better, show_level
from fmgrid.verdicts import Compared, Verdict, Word
from fmgrid.words import counted

_WORDS = get_args(Word)


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


def hypotheses_section(evidence: Evidence) -> Section:
    """Show the verdict on everything that was stated, with the figures it rests on."""
    if not evidence.verdicts:
        told = "None was stated. A grid may hold `[[hypothesis]]` tables, best before it is run."
        return Section("Hypotheses", (Text(told),))
    rows = tuple(_verdict_row(verdict) for verdict in evidence.verdicts)
    columns = (
        *(Column("claim"), Column("verdict"), Column("figures"), number("p")),
        *(Column("to settle it"), Column("expected")),
    )
    caption = f"The {counted(len(rows), 'hypothesis', 'hypotheses')}, and what the runs say of them"
    blocks: list[Text | Table] = [
        Text(
            "Each comparison is a paired t test over seeds, with its 95% interval; of several "
            "that a claim makes, the one that decides is shown. p is Holm's over the hypotheses "
            "of a grid: the chance that any of its verdicts is wrong is at most 5%. A claim is "
            "rejected by evidence for the contrary, not for lack of evidence."
        ),
        Table(columns, rows, caption),
    ]
    if late := _stated_late(evidence):
        blocks.append(Text(late))
    return Section("Hypotheses", tuple(blocks))


def impact_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section:
    """Rank the settings by what they move."""
    if not evidence.effects:
        return Section("Which settings matter", (Text("No setting varies by itself."),))
    unit = unit_of(evidence.metric)
    columns = (
        *(number("rank"), Column("setting"), Column("group"), Column("best"), Column("worst")),
        *(number(f"swing ({unit})"), number(f"swing of equals ({unit})"), number("p")),
        Column("told apart"),
    )
    rows = tuple(
        _effect_row(rank, effect, evidence.metric)
        for rank, effect in enumerate(evidence.effects, start=1)
    )
    blocks: list[Text | Table | Picture] = [
        Text(
            "A setting's swing is the difference between its best and its worst level. Both are "
            "picked after looking, so that the intervals hold for all pairs of levels at once "
            "(Bonferroni), and the swing that equals would show, 19 times in 20, stands beside it "
            "(Tukey). In a factorial grid a level is the mean over all the others. Rank is by what "
            "these levels move: another choice of levels gives another rank."
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
                    f"amount of data: its levels saw from {low:,} to {high:,} images."
                )
            )
    return Section("Which settings matter", tuple(blocks))


def luck_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section | None:
    """Say what a single run of each experiment would have found, None if there was but one."""
    winners = winners_by_seed(evidence)
    if len(winners) < 2:  # noqa: PLR2004
        return None
    distinct = list(dict.fromkeys(winners.values()))
    told = (
        f"With one run of each experiment, {counted(len(distinct), 'experiment')} would have been "
        f"called the best, depending on the seed: {some(distinct)}."
    )
    blocks: tuple[Text | Picture, ...] = (Text(told),)
    if picture := pictures.get("winners_by_seed"):
        blocks += (picture,)
    return Section("What one run would have concluded", blocks)


def winners_by_seed(evidence: Evidence) -> dict[int, str]:
    """Return which experiment is best with each seed that all of them have."""
    distinct = _distinct(evidence)
    series = {one.name: one.series(evidence.metric) for one in distinct}
    pick = max if is_higher_better(evidence.metric) else min
    return {
        seed: pick(series, key=lambda name: series[name][seed])
        for seed in evidence.study.seeds
        if series and all(seed in one for one in series.values())
    }


def _distinct(evidence: Evidence) -> list[Repeated]:
    """Return the scored experiments, each configuration once, best first."""
    ranked = best_first(evidence.study.scored.values(), evidence.metric)
    return [same[0] for same in by_configuration(ranked).values()]


def _what_was_run(evidence: Evidence) -> str:
    study = evidence.study
    runs = sum(len(one.runs) for one in study.scored.values())
    failed = sum(len(one.failures) for one in study.experiments.values())
    counts = sorted({len(one.runs) for one in study.scored.values()})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    told = "one of which failed" if failed == 1 else f"{failed} of which failed"
    return (
        f"{counted(len(study.scored), 'experiment')} in {counted(len(study.groups), 'group')} "
        f"{'was' if len(study.scored) == 1 else 'were'} trained with {seeds} "
        f"{'seed' if counts == [1] else 'seeds'} each, {counted(runs + failed, 'run')} in all"
        f"{', ' + told if failed else ''}."
    )


def _what_is_best(evidence: Evidence) -> str:
    metric = evidence.metric
    best, *others = _distinct(evidence)
    told = f"{code(best.name)} scores best, with {with_interval(best.estimate(metric), metric)}"
    if not others:
        return f"{told}."
    if len(best.series(metric)) < 2:  # noqa: PLR2004
        return f"{told}, in a single run, from which nothing can be concluded."
    _, *tied = as_good_as_best([best, *others], metric)
    if not tied:
        return f"{told}, and is told apart from all {len(others)} others."
    return (
        f"{told}, but {counted(len(tied), 'other configuration')} of {len(others)} cannot be told "
        f"from it: {some([one.name for one in tied])}."
    )


def _what_matters(evidence: Evidence) -> str:
    if not evidence.effects:
        return "No setting varies by itself, so that none can be given credit."
    apart = [effect for effect in evidence.effects if effect.is_told_apart]
    if not apart:
        return f"None of {counted(len(evidence.effects), 'effect')} can be told from noise."
    names = [_effect_in_words(effect, evidence.metric) for effect in apart]
    told = f"What matters, by what it moves, is {listed(names)}"
    within = [effect for effect in evidence.effects if not effect.is_told_apart]
    if within:
        sizes = [_effect_in_words(effect, evidence.metric) for effect in within]
        verb = "is" if len(within) == 1 else "are"
        told += f", while {listed(sizes)} {verb} within what equals would show"
    return f"{told}."


def _effect_in_words(effect: Effect, metric: str) -> str:
    return f"{code(effect.setting)} ({show_size(abs(effect.difference.mean), metric)})"


def _what_is_noise(evidence: Evidence) -> str:
    noise = evidence.noise
    if noise is None:
        return (
            "No configuration was run twice with different seeds, so that the noise of a run is "
            "not known, and no difference can be called one."
        )
    between = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * 2**0.5 * noise.sd
    small = sum(abs(gain.difference.mean) < between for gain in evidence.gains)
    told = (
        f"A single run lies {show_size(noise.sd, evidence.metric)} from the mean of its "
        f"configuration (standard deviation), so that two single runs must be "
        f"{show_size(between, evidence.metric)} apart before that says anything"
    )
    if not evidence.gains:
        return f"{told}."
    return (
        f"{told}, and {small} of the {len(evidence.gains)} steps between neighbouring levels are "
        "smaller."
    )


def _what_was_expected(evidence: Evidence) -> str:
    if not evidence.verdicts:
        return "No hypothesis was stated beforehand."
    counts = {word: sum(one.word == word for one in evidence.verdicts) for word in _WORDS}
    told = [
        f"{count} {'is' if count == 1 else 'are'} {word.lower()}" for word, count in counts.items()
    ]
    every = counted(len(evidence.verdicts), "hypothesis that was", "hypotheses that were")
    return f"Of {every} stated, {listed(told)}."


def _verdict_row(verdict: Verdict) -> tuple[Cell, ...]:
    stated = verdict.stated
    metric = "" if stated.metric == "accuracy" else f" on {stated.metric.replace('_', ' ')}"
    return (
        Cell(plain(stated.claim)),
        Cell(f"**{verdict.word}**", _WORDS.index(verdict.word)),
        Cell(_figures(verdict)),
        figure(show_p(verdict.p) if verdict.compared else "", verdict.p),
        Cell(_to_settle(verdict)),
        Cell(f"{code(stated.expect)}{metric}"),
    )


def _figures(verdict: Verdict) -> str:
    """Show the comparison that decides, and say of how many it is."""
    if not verdict.compared:
        return ""
    told = _compared(verdict.compared[verdict.deciding], verdict.stated.metric)
    others = len(verdict.compared) - 1
    return f"{told}; the weakest of {others + 1} steps" if others else told


def _compared(compared: Compared, metric: str) -> str:
    found = compared.difference
    if not found.n:
        return f"{plain(compared.greater)} and {plain(compared.lesser)} share no seed"
    unit = " points" if is_fraction(metric) else ""
    bound = f" (limit {show_difference(compared.margin, metric)})" if compared.margin else ""
    return (
        f"{code(compared.greater)} over {code(compared.lesser)}: "
        f"{difference_with_interval(found, metric)}{unit}{bound}"
    )


def _to_settle(verdict: Verdict) -> str:
    if verdict.word != "INCONCLUSIVE":
        return ""
    if verdict.reason:
        return plain(verdict.reason)
    if any(one.difference.n < 2 for one in verdict.compared):  # noqa: PLR2004
        return "a second seed, at least"
    if verdict.more_seeds is None:
        return "no number of seeds within reason"
    return f"about {counted(verdict.more_seeds, 'more seed')}"


def _stated_late(evidence: Evidence) -> str:
    """Say which hypotheses were stated when some of the runs were there already."""
    begun = [
        row["started"]
        for one in evidence.study.scored.values()
        for row in one.runs.values()
        if isinstance(row.get("started"), datetime)
    ]
    if not begun:
        return ""
    late = [one for one in evidence.verdicts if one.stated.since > min(begun)]
    if not late:
        return "All of them stood in the grids before the first run was started."
    claims = "; ".join(plain(one.stated.claim) for one in late[:3])
    more = f"; and {len(late) - 3} more" if len(late) > 3 else ""  # noqa: PLR2004
    was, it = ("was", "it") if len(late) == 1 else ("were", "they")
    return (
        f"{len(late)} of the {len(evidence.verdicts)} {was} first seen when runs were there "
        f"already, so that {it} may have been stated by what those showed: {claims}{more}."
    )


def _effect_row(rank: int, effect: Effect, metric: str) -> tuple[Cell, ...]:
    noise = "" if effect.noise is None else show_difference(effect.noise, metric).lstrip("+")
    known = effect.difference.sd is not None
    return (
        figure(str(rank), rank),
        Cell(code(effect.setting) + (" (confounded)" if effect.images else "")),
        Cell(plain(effect.group)),
        Cell(plain(show_level(effect.best))),
        Cell(plain(show_level(effect.worst))),
        figure(difference_with_interval(effect.difference, metric), effect.difference.mean),
        figure(noise, effect.noise),
        figure(show_p(effect.p) if known else "", effect.p),
        Cell(("yes" if effect.is_told_apart else "no") if known else "one run: not known"),
    )
