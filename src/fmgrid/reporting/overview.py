"""The answer: five points, the effect of each setting, the verdict on each hypothesis.

Then the conclusions that single runs would have given.
"""

from collections.abc import Iterator, Mapping

from fmgrid.analysis.effects import Effect
from fmgrid.analysis.evidence import Evidence
from fmgrid.analysis.statistics import ROUNDING
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import WORDS, PairTest, Verdict, is_late
from fmgrid.hypotheses.registry import Hypothesis
from fmgrid.metrics import METRICS, metric_of
from fmgrid.pages.document import Picture, Section, code, plain
from fmgrid.reporting.phrases import (
    difference_cells,
    section,
    show_difference,
    show_p,
    show_size,
    some,
    table,
    unit_of,
    with_interval,
)
from fmgrid.settings import show
from fmgrid.words import counted, first_few

CLAIMS_SHOWN = 3


def lead_of(evidence: Evidence) -> str:
    """Say what was run, and which question it answers."""
    study = evidence.study
    parts = [
        counted(len(study.experiments), "experiment"),
        counted(len(study.runs), "complete run"),
        counted(len(study.seeds), "seed") if study.seeds else "seeds not known",
        *([f"{len(study.failures):,} failed"] if study.failures else []),
    ]
    questions = [*{group.question: None for group in study.groups if group.question}]
    question = f"{plain(questions[0])} " if len(questions) == 1 else ""
    return f"{question}{', '.join(parts)}."


def summary_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section:
    """Say the main results."""
    points = [*_best(evidence), *_settings(evidence), _noise(evidence), *_verdicts(evidence)]
    points += _direction(evidence.metric)
    return section("Summary", points, pictures.get("effects"))


def settings_section(evidence: Evidence) -> Section:
    """Rank the settings by their effects."""
    rows = [_effect_row(effect, evidence) for effect in evidence.effects]
    title = "Which settings matter"
    if not rows:
        is_single = len(evidence.study.configurations) == 1
        reason = "no two levels share a seed and images"
        return section(
            title, f"Nothing to compare: {'one configuration' if is_single else reason}."
        )
    if evidence.is_untested:
        return section(
            title,
            "Best and worst are the levels furthest apart, in one run each.",
            table("The settings, largest range first", rows),
        )
    return section(
        title,
        "A setting matters if two of its levels differ by more than chance explains (bold, "
        "p ≤ 0.05). Best and worst are the levels furthest apart of those that differ; in a "
        "product of settings, a level is the mean over all others.",
        table("The settings, largest range first, then how they depend on each other", rows),
        "p and the intervals are corrected for all pairs of levels (Bonferroni) and for all rows "
        "(Holm): an interval excludes zero where p is at most 0.05. A range that is at least as "
        "large as what is needed is significant. `a x b` compares a difference between levels of "
        "one setting at two levels of the other.",
        _disagreement(evidence),
    )


def _disagreement(evidence: Evidence) -> str | None:
    """Name what a test by ranks does not support: there a few seeds decide."""
    if not (names := evidence.disagreements):
        return None
    texts = first_few([plain(name) for name in names])
    return (
        f"Not supported by Wilcoxon's signed-rank test, so that one or two seeds decide: {texts}."
    )


def hypotheses_section(evidence: Evidence) -> Section:
    """Show each hypothesis as its grid states it, with the verdict and its figures."""
    study, verdicts = evidence.study, evidence.verdicts
    explanation = (
        "p is corrected over the hypotheses of a grid (Holm): the chance that any of its verdicts "
        "is wrong is at most 5 %. A claim is rejected by evidence for the contrary, not by a lack "
        "of evidence. The figures are those of the comparison that decides, with the 95 % "
        "interval that it would have alone. A fresh comparison with so many seeds has a chance of "
        "80 % if the difference is as measured; adding seeds until a verdict falls finds effects "
        "that are not there."
        if verdicts
        else "None is stated. A grid may hold `[[hypothesis]]` tables, best before it is run."
    )
    rows = [_hypothesis_row(verdict.stated, study, verdict) for verdict in verdicts]
    withdrawn = [hypothesis for grid in study.grids for hypothesis in grid.withdrawn]
    rows += [_hypothesis_row(hypothesis, study) for hypothesis in withdrawn]
    weak = "; ".join(plain(verdict.stated.claim) for verdict in evidence.inconclusive_over_all)
    return section(
        "Hypotheses",
        explanation,
        table("The claims, and their verdicts", rows),
        f"Inconclusive if corrected over all {len(verdicts)} together: {weak}." if weak else None,
    )


def deciding_figures(verdict: Verdict) -> str:
    """Show the comparison that decides, and the number of comparisons."""
    if not verdict.compared:
        return ""
    deciding = verdict.compared[verdict.deciding]
    text = _compared(deciding, verdict.stated.metric)
    if deciding.images:
        text += f", confounded: {deciding.images[0]:,} and {deciding.images[1]:,} images seen"
    if deciding.alternatives > 1:
        text += f"; closest of {deciding.alternatives} comparisons (p corrected for all)"
    steps = len(verdict.compared)
    return f"{text}; the weakest of {steps} steps" if steps > 1 else text


def luck_sections(evidence: Evidence, pictures: Mapping[str, Picture]) -> Iterator[Section]:
    """Show the winner of each seed alone, if there are two seeds or more."""
    winners = evidence.winners
    if winners and len(winners.seeds) > 1:
        rows = [{"seed": str(seed), "best": some(best)} for seed, best in winners.by_seed.items()]
        yield section(
            "What one run would have concluded",
            table("The best experiment with each seed alone", rows),
            pictures.get("winners_by_seed"),
        )


def _direction(metric: str) -> Iterator[str]:
    """Say how a metric ranks whose direction is not known but by its name."""
    entry = metric_of(metric)
    if entry.is_further:
        better, other = ("more", "min") if entry.is_higher_better else ("less", "max")
        known = "as you chose" if metric.endswith((":min", ":max")) else "to judge by its name"
        option = code(f"--metric {entry.label}:{other}")
        yield f"**Ranked by** {code(entry.label)}: {better} is better, {known}; else {option}."


def _best(evidence: Evidence) -> Iterator[str]:
    """Name the best of each set of experiments that are scored on the same images."""
    metric = evidence.metric
    for ranking in evidence.rankings:
        best, others = ranking.best, len(ranking.ranked) - 1
        scored = f", scored on {ranking.images}" if len(evidence.rankings) > 1 else ""
        result = f"{code(best.name)}, {with_interval(best.estimate(metric), metric)}"
        if others and len(best.series(metric)) == 1:
            yield f"**Best run{scored}**: {result}."
            continue
        if others:
            ties = [tie.name for tie in ranking.ties[1:]]
            result += f"; not significantly worse: {len(ties)} of {others}"
            result += f" ({some(ties)})" if ties else ""
        yield f"**Best mean{scored}**: {result}."


def _settings(evidence: Evidence) -> Iterator[str]:
    """Name the settings with a significant effect, and the others."""
    effects = evidence.effects
    mains = [effect for effect in effects if not effect.is_interaction]
    if evidence.is_untested:
        is_single = len(evidence.study.configurations) == 1
        reason = "nothing was varied" if is_single else "no two levels share a seed and images"
        ranges = ", ".join(_in_words(effect, evidence) for effect in mains)
        yield f"**Ranges**: {ranges or f'none, as {reason}'}."
        return
    both = [
        "the effect of {} depends on {}".format(*map(code, effect.setting.split(" x ")))
        + f" ({_size_of(effect, evidence)})"
        for effect in effects
        if effect.is_interaction and effect.is_significant
    ]
    if both:
        yield f"**Together**: {', '.join(both)}; read these settings by their common table."
    matter = [_in_words(effect, evidence) for effect in mains if effect.is_significant]
    others = [_in_words(effect, evidence) for effect in mains if not effect.is_significant]
    yield f"**Settings that matter**: {', '.join(matter) or 'none'}."
    yield f"**Not sure**: {', '.join(others) or 'none'}."


def _verdicts(evidence: Evidence) -> Iterator[str]:
    """Name the settled hypotheses, and count the others."""
    if not evidence.verdicts:
        return
    texts = []
    for word in WORDS:
        claims = [
            f"“{plain(verdict.stated.claim)}”"
            for verdict in evidence.verdicts
            if verdict.word == word
        ]
        if claims:
            names = f": {first_few(claims, CLAIMS_SHOWN)}" if word != "INCONCLUSIVE" else ""
            texts.append(f"{len(claims)} {word.lower()}{names}")
    yield f"**Hypotheses**: {'; '.join(texts)}."


def _size_of(effect: Effect, evidence: Evidence) -> str:
    return show_size(abs(effect.difference.mean), evidence.metric)


def _in_words(effect: Effect, evidence: Evidence) -> str:
    terms = [_size_of(effect, evidence)]
    if effect.noise is not None and not effect.is_significant:
        terms = [f"{terms[0]}, {show_size(effect.noise, evidence.metric)} needed"]
    if [other.setting for other in evidence.effects].count(effect.setting) > 1:
        terms.append(f"in {plain(effect.group)}")
    terms += _remarks(effect, evidence.study) if effect.is_significant else []
    return f"{code(effect.setting)} ({', '.join(terms)})"


def _remarks(effect: Effect, study: Study) -> list[str]:
    """Return the conditions under which an effect holds."""
    remarks = []
    if effect.images:
        remarks.append("perhaps for the images seen: {:,} to {:,}".format(*effect.images))
    if effect.further:
        levels = " over ".join(map(show, effect.further))
        remarks.append(f"{levels} is larger, and varies too much to be sure")
    if effect.through:
        remarks.append(f"all else as in {code(effect.through)}")
    if effect.is_partial:
        remarks.append("over the combinations that both levels have")
    group = next(group for group in study.groups if group.title == effect.group)
    rates = {member.settings.get("learning_rate") for member in group.members}
    if effect.setting == "optimizer" and len(rates) == 1:
        remarks.append(f"all at learning rate {show(rates.pop())}")
    return remarks


def _noise(evidence: Evidence) -> str:
    metric, spread, seeds = evidence.metric, evidence.spread, evidence.study.seeds
    if spread is None:
        return (
            f"**One run each**: another {'seed' if seeds else 'run'} gives other figures, so "
            "nothing is known to be more than chance. "
            f"{'Repeat with `--seeds 0,1,2` or more' if seeds else 'Repeat them'}."
        )
    least, most = show_size(spread.least, metric, ""), show_size(spread.most, metric)
    configurations = (
        f"; from {least} to {most} by configuration" if spread.least < spread.most else ""
    )
    return (
        f"**Noise**: {'with another seed' if seeds else 'run again'}, the same settings are "
        f"typically within "
        f"{show_size(spread.apart, metric)} of each other (95 %; standard deviation "
        f"{show_size(spread.typical, metric)}{configurations})."
    )


def _effect_row(effect: Effect, evidence: Evidence) -> dict[str, str]:
    metric = evidence.metric
    is_flat = abs(effect.difference.mean) <= ROUNDING
    best, worst = ("none" if is_flat else plain(show(x)) for x in (effect.best, effect.worst))
    return {
        "setting": code(effect.setting),
        "best": best,
        "worst": worst,
        **difference_cells("range", effect.difference, effect.p, metric),
        f"needed ({unit_of(metric)})": show_difference(effect.noise, metric).removeprefix("+"),
        "group": plain(effect.group),
        "remarks": "; ".join(_remarks(effect, evidence.study)),
    }


def _hypothesis_row(
    stated: Hypothesis, study: Study, verdict: Verdict | None = None
) -> dict[str, str]:
    """Return the row of a hypothesis, which has no verdict after it was withdrawn."""
    claim = [plain(stated.claim), code(stated.expect)]
    if stated.metric != "accuracy":
        claim.append(metric_of(stated.metric).label if stated.metric in METRICS else stated.metric)
    if is_late(stated, study):
        claim.append("**stated after the first run**")
    figures = [deciding_figures(verdict), _to_settle(verdict)] if verdict else []
    return {
        "verdict": f"**{verdict.word}**" if verdict else "withdrawn",
        "claim": "; ".join(claim),
        "p": show_p(verdict.p if verdict and verdict.is_tested else None),
        "figures": "; ".join(filter(None, figures)),
    }


def _compared(test: PairTest, metric: str) -> str:
    first, second = code(test.greater), code(test.lesser)
    difference, margin = test.difference, test.margin
    if not difference.n:
        return f"{first} and {second} share no seed"
    if test.greater.replace(".", "", 1).isdigit():  # a number comes last
        first, second, difference, margin = second, first, difference.turned, -margin
    unit = " points" if metric_of(metric).is_fraction else ""
    bound = f" (limit {show_difference(margin, metric)})" if margin else ""
    if difference.is_none:
        return f"{first} and {second}: the same in every run{bound}"
    return f"{first} minus {second}: {with_interval(difference, metric)}{unit}{bound}"


def _to_settle(verdict: Verdict) -> str:
    if verdict.word != "INCONCLUSIVE":
        return ""
    if verdict.reason:
        return plain(verdict.reason)
    shared = min(test.difference.n for test in verdict.compared)
    if shared < 2:  # noqa: PLR2004
        return "a second seed is needed" if shared else "seeds that both sides have are needed"
    if verdict.seeds is None:
        return "no number of seeds within reason would settle it"
    return f"a fresh comparison needs about {counted(verdict.seeds, 'seed')}"
