"""Hypotheses: the verdict on each, the figures it rests on, and since when it was stated."""

from collections.abc import Sequence

from fmgrid.analysis.study import Study
from fmgrid.analysis.verdicts import WORDS, Compared, Verdict, open_over_all
from fmgrid.hypotheses.language import names_of
from fmgrid.hypotheses.records import RegisteredHypothesis
from fmgrid.pages.document import Cell, Column, Section, Table, Text, code, plain
from fmgrid.report.evidence import Evidence
from fmgrid.report.phrases import (
    difference_with_interval,
    figure,
    is_fraction,
    number,
    show_difference,
    show_p,
)
from fmgrid.words import counted

CLAIMS_SHOWN = 3


def hypotheses_section(evidence: Evidence) -> Section:
    """Show the verdict on everything that was stated, with the figures it rests on."""
    if not evidence.verdicts:
        told = "None is stated. A grid may hold `[[hypothesis]]` tables, best before it is run."
        return Section("Hypotheses", (Text(told), *map(Text, _beforehand(evidence.study))))
    rows = tuple(_verdict_row(verdict) for verdict in evidence.verdicts)
    columns = (
        *(Column("claim"), Column("verdict"), Column("figures"), number("p")),
        *(Column("to settle it"), Column("expected")),
    )
    every, them = ("hypothesis", "it") if len(rows) == 1 else (f"{len(rows)} hypotheses", "them")
    caption = f"The {every}, and what the runs say of {them}"
    blocks: list[Text | Table] = [
        Text(
            "Each comparison is a paired t test over seeds; of several that a claim makes, the "
            "one that decides is shown, with the 95% interval that it would have alone. p decides, "
            "and is Holm's over the hypotheses of a grid: the chance that any of its verdicts is "
            "wrong is at most 5%. A claim is rejected by evidence for the contrary, not for lack "
            "of evidence. How many more seeds would settle it, four times in five, holds if the "
            "difference is what it seems to be."
        ),
        Table(columns, rows, caption),
    ]
    if open_ := open_over_all(evidence.verdicts):
        which, it = ("One", "it") if len(open_) == 1 else (f"{len(open_)}", "they")
        blocks.append(
            Text(
                f"That is so within each grid, not over all of them. {which} of these verdicts "
                f"would be inconclusive if {it} were corrected over all "
                f"{len(evidence.verdicts)}: {'; '.join(plain(one.stated.claim) for one in open_)}."
            )
        )
    blocks += [Text(text) for text in _beforehand(evidence.study)]
    return Section("Hypotheses", tuple(blocks))


def deciding_figures(verdict: Verdict) -> str:
    """Show the comparison that decides, and say of how many it is."""
    if not verdict.compared:
        return ""
    deciding = verdict.compared[verdict.deciding]
    told = _compared(deciding, verdict.stated.metric)
    if deciding.images:
        told += f", confounded: {deciding.images[0]:,} and {deciding.images[1]:,} images seen"
    if deciding.alternatives > 1:
        told += f"; one of {deciding.alternatives} that might decide, for which p is corrected"
    others = len(verdict.compared) - 1
    return f"{told}; the weakest of {others + 1} steps" if others else told


def _verdict_row(verdict: Verdict) -> tuple[Cell, ...]:
    stated = verdict.stated
    metric = "" if stated.metric == "accuracy" else f" on {stated.metric.replace('_', ' ')}"
    p = verdict.p if verdict.is_tested else None
    return (
        Cell(plain(stated.claim)),
        Cell(f"**{verdict.word}**", WORDS.index(verdict.word)),
        Cell(deciding_figures(verdict)),
        figure(show_p(p), p),
        Cell(_to_settle(verdict)),
        Cell(f"{code(stated.expect)}{metric}"),
    )


def _compared(compared: Compared, metric: str) -> str:
    if not compared.difference.n:
        return f"{code(compared.greater)} and {code(compared.lesser)} share no seed"
    shown = compared.turned if _is_number(compared.greater) else compared  # a number comes last
    unit = " points" if is_fraction(metric) else ""
    bound = f" (limit {show_difference(shown.margin, metric)})" if shown.margin else ""
    if shown.is_same:
        return f"{code(shown.greater)} and {code(shown.lesser)}: the same in every run{bound}"
    return (
        f"{code(shown.greater)} over {code(shown.lesser)}: "
        f"{difference_with_interval(shown.difference, metric)}{unit}{bound}"
    )


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


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


def _beforehand(study: Study) -> list[str]:
    """Say which hypotheses were stated, or given up, when runs had shown something of them."""
    stated = [one for asked in study.asked for one in asked.hypotheses]
    late = [one for one in stated if _had_begun(one, study)]
    told = []
    if stated and study.begun and not late:
        told.append(
            "It stood in the grid before the first run of its experiments in this folder was "
            "started."
            if len(stated) == 1
            else "All of them stood in the grids before the first run of their experiments in this "
            "folder was started."
        )
    if late:
        was, it = ("was", "it") if len(late) == 1 else ("were", "they")
        which = "It" if len(stated) == 1 else f"{len(late)} of the {len(stated)}"
        which = "All of them" if len(late) == len(stated) > 1 else which
        told.append(
            f"{which} {was} first seen when runs of these experiments had begun already, so that "
            f"{it} may have been stated by what those showed"
            f"{'.' if len(late) == len(stated) else f': {_claims(late)}.'}"
        )
    if withdrawn := [one for asked in study.asked for one in asked.withdrawn]:
        told.append(
            f"Stated before, and no longer when the grid was last run: {_claims(withdrawn)}."
        )
    return told


def _had_begun(stated: RegisteredHypothesis, study: Study) -> bool:
    """Return whether any run that a hypothesis is about began before it was first seen.

    A run of the same settings by another name shows the same. When plain mltrainer's began is not
    known, but they were there.
    """
    names = set(names_of(stated.resolved))
    of = {study.scored[name].configuration for name in names if name in study.scored}
    names |= {one.name for one in study.scored.values() if one.configuration in of}
    return any(
        study.begun[name] < stated.since if name in study.begun else name in study.scored
        for name in names
    )


def _claims(stated: Sequence[RegisteredHypothesis]) -> str:
    shown = [f"{plain(one.claim)} ({code(one.expect)})" for one in stated[:CLAIMS_SHOWN]]
    more = f"; and {len(stated) - CLAIMS_SHOWN} more" if len(stated) > CLAIMS_SHOWN else ""
    return "; ".join(shown) + more
