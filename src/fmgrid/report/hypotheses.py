"""Hypotheses: the verdict on each, its figures, and whether it was stated before the runs."""

from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import Compared, Verdict, had_begun, open_over_all
from fmgrid.metrics import METRICS
from fmgrid.pages.document import Section, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import (
    section,
    show_difference,
    show_p,
    table,
    with_interval,
)
from fmgrid.words import counted


def hypotheses_section(evidence: Evidence) -> Section:
    """Show the verdicts with their figures, and the hypotheses as the grids state them."""
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
    as_stated = [
        {
            "claim": plain(stated.claim),
            "expected": code(stated.expect),
            "metric": stated.metric.replace("_", " "),
            "withdrawn": "yes" if stated in asked.withdrawn else "",
        }
        for asked in study.asked
        for stated in (*asked.hypotheses, *asked.withdrawn)
    ]
    weak = "; ".join(plain(one.stated.claim) for one in open_over_all(verdicts))
    return section(
        "Hypotheses",
        explanation,
        table("The claims, and their verdicts", [_verdict_row(one, study) for one in verdicts]),
        f"Inconclusive if corrected over all {len(verdicts)} together: {weak}." if weak else None,
        table("The expectations, as the grids state them", as_stated),
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


def _verdict_row(verdict: Verdict, study: Study) -> dict[str, str]:
    return {
        "claim": plain(verdict.stated.claim),
        "verdict": f"**{verdict.word}**",
        "p": show_p(verdict.p if verdict.is_tested else None),
        "figures": deciding_figures(verdict),
        "to settle it": _to_settle(verdict),
        "stated": "**after the first run**" if had_begun(verdict.stated, study) else "before",
    }


def _compared(compared: Compared, metric: str) -> str:
    if not compared.difference.n:
        return f"{code(compared.greater)} and {code(compared.lesser)} share no seed"
    first, second = code(compared.greater), code(compared.lesser)
    difference, margin = compared.difference, compared.margin
    if compared.greater.replace(".", "", 1).isdigit():  # a number comes last
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
    shared = min(one.difference.n for one in verdict.compared)
    if shared < 2:  # noqa: PLR2004
        return "a second seed, at least" if shared else "seeds that both sides have"
    if verdict.more_seeds is None:
        return "no number of seeds within reason"
    return f"about {counted(verdict.more_seeds, 'more seed')}"
