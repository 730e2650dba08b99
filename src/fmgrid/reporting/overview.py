"""The answer: five points, the effect of each setting, the verdict on each hypothesis.

Then the conclusions that single runs would have given.
"""

from collections.abc import Iterator, Mapping
from statistics import NormalDist, median

from fmgrid.analysis.comparisons import best_and_ties, find_winners
from fmgrid.analysis.effects import Effect
from fmgrid.analysis.experiments import best_by_images, images_of
from fmgrid.analysis.statistics import CONFIDENCE, ROUNDING
from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import WORDS, PairTest, Verdict, inconclusive_over_all, is_late
from fmgrid.hypotheses.registry import Hypothesis
from fmgrid.metrics import METRICS
from fmgrid.pages.document import Picture, Section, code, plain
from fmgrid.reporting.evidence import Evidence
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
from fmgrid.words import counted


def summary_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section:
    """Say what was run, and the main results."""
    study = evidence.study
    trained = [
        counted(len(study.experiments), "experiment"),
        counted(len(study.runs), "complete run"),
        counted(len(study.seeds), "seed"),
        *([f"{len(study.failures):,} failed"] if study.failures else []),
    ]
    words = [verdict.word for verdict in evidence.verdicts]
    verdicts = [f"{words.count(word)} {word.lower()}" for word in WORDS if word in words]
    points = [
        f"**Trained**: {', '.join(trained)}.",
        *_best(evidence),
        *_settings(evidence),
        f"**Noise**: {_noise(evidence)}.",
        f"**Hypotheses**: {', '.join(verdicts) or 'none stated'}.",
    ]
    return section("Summary", points, pictures.get("effects"))


def settings_section(evidence: Evidence) -> Section:
    """Rank the settings by their effects."""
    explanation = (
        "The range of a setting is the difference between its best and its worst level, over the "
        "seeds that both have. In a factorial grid a level is the mean over all other settings. "
        "Best and worst are picked after looking: intervals hold for all pairs of levels "
        "(Bonferroni), and p is also corrected for the number of settings (Holm; bold means "
        "p ≤ 0.05). Noise alone stays below the noise range in 95 % of cases (Tukey)."
    )
    rows = [_effect_row(effect, evidence) for effect in evidence.effects]
    return section(
        "Which settings matter",
        explanation if rows else "No two levels of a setting share a seed.",
        table("The settings, largest range first", rows),
    )


def hypotheses_section(evidence: Evidence) -> Section:
    """Show each hypothesis as its grid states it, with the verdict and its figures."""
    study, verdicts = evidence.study, evidence.verdicts
    explanation = (
        "Each comparison is a paired t test over seeds. Of several comparisons the table shows the "
        "deciding one, with the 95 % confidence interval that it would have alone. p is corrected "
        "over the hypotheses of a grid (Holm): the chance that any of its verdicts is wrong is at "
        "most 5 %. A claim is rejected by evidence for the contrary, not by a lack of evidence. "
        "The seeds that would settle it give a chance of 80 % if the difference is as measured."
        if verdicts
        else "None is stated. A grid may hold `[[hypothesis]]` tables, best before it is run."
    )
    rows = [_hypothesis_row(verdict.stated, study, verdict) for verdict in verdicts]
    withdrawn = [hypothesis for grid in study.grids for hypothesis in grid.withdrawn]
    rows += [_hypothesis_row(hypothesis, study) for hypothesis in withdrawn]
    weak = "; ".join(plain(verdict.stated.claim) for verdict in inconclusive_over_all(verdicts))
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


def luck_section(evidence: Evidence, pictures: Mapping[str, Picture]) -> Section | None:
    """Show the winner of each seed alone, None with fewer than two seeds."""
    winners = find_winners(evidence.study, evidence.metric)
    if winners is None or len(winners.seeds) < 2:  # noqa: PLR2004
        return None
    rows = [{"seed": str(seed), "best": some(best)} for seed, best in winners.by_seed.items()]
    return section(
        "What one run would have concluded",
        table("The best experiment with each seed alone", rows),
        pictures.get("winners_by_seed"),
    )


def _best(evidence: Evidence) -> Iterator[str]:
    """Name the best of each set of experiments that are scored on the same images."""
    metric = evidence.metric
    sets = best_by_images(evidence.study.configurations, metric)
    for ranked in sets:
        best = ranked[0]
        scored = f", scored on {images_of(best)}" if len(sets) > 1 else ""
        result = f"{code(best.name)}, {with_interval(best.estimate(metric), metric)}"
        if len(ranked) > 1 and len(best.series(metric)) == 1:
            result += ", in a single run"
        elif len(ranked) > 1:
            rivals = [rival.name for rival in best_and_ties(ranked, metric)[1:]]
            result += f"; not significantly worse: {some(rivals) or 'none'}"
        yield f"**Best mean{scored}**: {result}."


def _settings(evidence: Evidence) -> Iterator[str]:
    """Name the settings with a significant effect, and the others."""
    effects = evidence.effects
    if all(effect.difference.sd is None for effect in effects):
        yield "**Effects**: not known, as no two levels of a setting share two seeds."
        return
    significant = [_in_words(effect, evidence) for effect in effects if effect.is_significant]
    others = [_in_words(effect, evidence) for effect in effects if not effect.is_significant]
    yield f"**Significant effects**: {', '.join(significant) or 'none'}."
    yield f"**No significant effects**: {', '.join(others) or 'none'}."


def _in_words(effect: Effect, evidence: Evidence) -> str:
    terms = [show_size(abs(effect.difference.mean), evidence.metric)]
    if [effect.setting for effect in evidence.effects].count(effect.setting) > 1:
        terms.append(f"in {plain(effect.group)}")
    terms += _remarks(effect, evidence.study) if effect.is_significant else []
    return f"{code(effect.setting)} ({', '.join(terms)})"


def _remarks(effect: Effect, study: Study) -> list[str]:
    """Return the conditions under which an effect holds."""
    remarks = []
    if effect.images:
        remarks.append("confounded: {:,} to {:,} images seen".format(*effect.images))
    if effect.through:
        remarks.append(f"all else as in {code(effect.through)}")
    group = next(group for group in study.groups if group.title == effect.group)
    rates = {member.settings.get("learning_rate") for member in group.members}
    if effect.setting == "optimizer" and len(rates) == 1:
        remarks.append(f"all at learning rate {show(rates.pop())}")
    return remarks


def _noise(evidence: Evidence) -> str:
    metric, scatter = evidence.metric, evidence.study.scatter(evidence.metric)
    if not scatter:
        return (
            "not known, as each configuration was run with one seed. **No difference can be called "
            "significant**: another seed gives other figures"
        )
    typical = median(scatter)
    distance = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * 2**0.5 * typical
    least, most = show_size(scatter[0], metric, ""), show_size(scatter[-1], metric)
    spread = f", the median of {least} to {most}" if len(scatter) > 1 else ""
    return (
        f"the runs of one configuration have a standard deviation of {show_size(typical, metric)}"
        f"{spread}; two single runs are up to {show_size(distance, metric)} apart by chance (95 %)"
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
        f"noise range ({unit_of(metric)})": show_difference(effect.noise, metric).removeprefix("+"),
        "group": plain(effect.group),
        "remarks": "; ".join(_remarks(effect, evidence.study)),
    }


def _hypothesis_row(
    stated: Hypothesis, study: Study, verdict: Verdict | None = None
) -> dict[str, str]:
    """Return the row of a hypothesis, which has no verdict after it was withdrawn."""
    return {
        "claim": plain(stated.claim),
        "expected": code(stated.expect),
        "metric": stated.metric.replace("_", " "),
        "verdict": f"**{verdict.word}**" if verdict else "withdrawn",
        "p": show_p(verdict.p if verdict and verdict.is_tested else None),
        "figures": deciding_figures(verdict) if verdict else "",
        "to settle it": _to_settle(verdict) if verdict else "",
        "stated": "**after the first run**" if is_late(stated, study) else "before",
    }


def _compared(test: PairTest, metric: str) -> str:
    first, second = code(test.greater), code(test.lesser)
    difference, margin = test.difference, test.margin
    if not difference.n:
        return f"{first} and {second} share no seed"
    if test.greater.replace(".", "", 1).isdigit():  # a number comes last
        first, second, difference, margin = second, first, difference.turned, -margin
    unit = " points" if METRICS[metric].is_fraction else ""
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
        return "a second seed, at least" if shared else "seeds that both sides have"
    if verdict.seeds is None:
        return "no number of seeds within reason"
    return f"about {counted(verdict.seeds, 'fresh seed')}"
