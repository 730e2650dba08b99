"""Hypotheses and runs -> verdicts: confirmed, rejected, or not settled yet.

Every comparison that a hypothesis makes is a paired t test over seeds. What must all hold is as
sure as its weakest part (an intersection-union test); what need hold for one of several is
corrected for their number (Bonferroni); and the p values of all hypotheses together are corrected
by Holm's method, so that the chance of even one wrong verdict in a report is at most 5 %. A claim
is rejected by evidence for the contrary, never by lack of evidence for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from statistics import fmean
from typing import Literal, TypeAlias

from fmgrid.claims import (
    Alike,
    Chain,
    ClaimError,
    Constant,
    Gain,
    Selection,
    Side,
    Term,
    parse_expectation,
)
from fmgrid.records import Stated
from fmgrid.statistics import ALPHA, Difference, difference, holm, p_exceeds, seeds_needed
from fmgrid.study import Study, is_higher_better

Word: TypeAlias = Literal["CONFIRMED", "REJECTED", "INCONCLUSIVE"]
Series: TypeAlias = Mapping[int, float]


@dataclass(frozen=True)
class Compared:
    """One comparison of a hypothesis, with the two that decide it."""

    greater: str  # what is claimed to be greater, in words
    lesser: str
    difference: Difference  # greater minus lesser
    margin: float  # that it has to exceed, or to stay within


@dataclass(frozen=True)
class Verdict:
    """What the runs say of a hypothesis."""

    stated: Stated
    word: Word
    p: float  # Holm's, over all hypotheses
    compared: tuple[Compared, ...] = ()
    more_seeds: int | None = None  # that would settle it, estimated; None if not within reason
    reason: str = ""  # why nothing can be said, where that isn't for lack of seeds


@dataclass(frozen=True)
class _Evidence:
    """Uncorrected p values for a hypothesis and for its contrary, and what they come from."""

    confirms: float
    rejects: float
    compared: tuple[Compared, ...]
    settled_by: Callable[[float], int | None]  # alpha -> seeds in all


@dataclass(frozen=True)
class _Link:
    """Two sides of which one is claimed to be the greater."""

    confirms: float
    rejects: float
    compared: Compared


def judge(hypotheses: Sequence[Stated], study: Study) -> list[Verdict]:
    """Return the verdict on each hypothesis, corrected for all of them together."""
    weighed = [_weigh(stated, study) for stated in hypotheses]
    found = [evidence for evidence in weighed if isinstance(evidence, _Evidence)]
    corrected = iter(holm([min(1.0, one.confirms, one.rejects) for one in found]))
    return [
        _verdict(stated, evidence, next(corrected), ALPHA / len(found))
        if isinstance(evidence, _Evidence)
        else Verdict(stated, "INCONCLUSIVE", 1.0, reason=evidence)
        for stated, evidence in zip(hypotheses, weighed, strict=True)
    ]


def _verdict(stated: Stated, evidence: _Evidence, p: float, alpha: float) -> Verdict:
    verdict = Verdict(stated, "INCONCLUSIVE", p, evidence.compared)
    if p <= ALPHA:
        return replace(
            verdict, word="CONFIRMED" if evidence.confirms < evidence.rejects else "REJECTED"
        )
    repeats = min(one.difference.n for one in evidence.compared)
    needed = evidence.settled_by(alpha)
    return replace(verdict, more_seeds=needed and max(1, needed - repeats))


def _weigh(stated: Stated, study: Study) -> _Evidence | str:
    """Return the evidence for a hypothesis, or why there is none."""
    try:
        expectation = parse_expectation(stated.resolved)
        if isinstance(expectation, Alike):
            return _weigh_alike(expectation, study, stated.metric)
        return _weigh_chain(expectation, study, stated.metric)
    except (ClaimError, _NoRunsError) as error:
        return str(error)


class _NoRunsError(Exception):
    """An experiment of a hypothesis has no run to judge by."""


def _weigh_chain(chain: Chain, study: Study, metric: str) -> _Evidence:
    ordered = chain.sides if chain.sign == ">" else chain.sides[::-1]
    links = [
        _link(greater, lesser, chain.margin, study, metric) for greater, lesser in pairwise(ordered)
    ]
    if chain.sign == "<":
        links.reverse()
    contrary = [link for link in links if link.rejects < link.confirms]

    def settled_by(alpha: float) -> int | None:
        needed = [_seeds(link.compared, alpha) for link in contrary or links]
        known = [seeds for seeds in needed if seeds is not None]
        if contrary:
            return min(known, default=None)  # one link that is wrong is enough
        return max(known) if len(known) == len(needed) else None

    return _Evidence(
        confirms=max(link.confirms for link in links),
        rejects=len(links) * min(link.rejects for link in links),
        compared=tuple(link.compared for link in links),
        settled_by=settled_by,
    )


def _weigh_alike(alike: Alike, study: Study, metric: str) -> _Evidence:
    """Weigh that no two differ by more than the limit: two one-sided tests a pair (Schuirmann)."""
    sides = [(name, _runs_of(name, study, metric)) for name in alike.selection.names]
    pairs = [
        (one, other, _paired(first, second))
        for (one, first), (other, second) in combinations(sides, 2)
    ]
    within = [
        max(
            _two_sided([alike.limit - value for value in values]),
            _two_sided([alike.limit + value for value in values]),
        )
        for *_, values in pairs
    ]
    beyond = [
        min(
            _two_sided([value - alike.limit for value in values]),
            _two_sided([-value - alike.limit for value in values]),
        )
        for *_, values in pairs
    ]
    one, other, values = max(pairs, key=lambda pair: abs(fmean(pair[2])))
    if fmean(values) < 0:
        one, other, values = other, one, [-value for value in values]
    compared = Compared(one, other, _difference(values), alike.limit)
    return _Evidence(
        confirms=max(within),
        rejects=len(pairs) * min(beyond),
        compared=(compared,),
        settled_by=lambda alpha: _seeds(compared, alpha),
    )


def _link(greater: Side, lesser: Side, margin: float, study: Study, metric: str) -> _Link:
    """Weigh that one side exceeds the other by more than *margin*."""
    upper, lower = _series(greater, study, metric), _series(lesser, study, metric)
    values = {
        (above, below): _paired(high, low)
        for above, high in upper.items()
        for below, low in lower.items()
    }
    exceeds = {key: _two_sided([one - margin for one in found]) for key, found in values.items()}
    falls_short = {
        key: _two_sided([margin - one for one in found]) for key, found in values.items()
    }
    # "Best of" is the greatest of accuracies and the least of losses. The greatest exceeds what
    # some one of them exceeds; the least does if all of them do; and with "each of" all must.
    best_is_greatest = is_higher_better(metric)
    some_above = _is_best(greater) and best_is_greatest
    some_below = _is_best(lesser) and not best_is_greatest
    p, decisive = _combined(exceeds, upper, lower, some_above, some_below)
    contrary, against = _combined(
        falls_short,
        upper,
        lower,
        not some_above and len(upper) > 1,
        not some_below and len(lower) > 1,
    )
    above, below = decisive if p <= contrary else against
    compared = Compared(above, below, _difference(values[above, below]), margin)
    return _Link(p, contrary, compared)


def _combined(
    p_values: Mapping[tuple[str, str], float],
    above: Iterable[str],
    below: Iterable[str],
    some_above: bool,
    some_below: bool,
) -> tuple[float, tuple[str, str]]:
    """Return the p value for all pairs, or for some of a side with all of the other.

    With it comes the pair that decides: the weakest of those that must all hold.
    """
    above, below = list(above), list(below)
    every = [[(p_values[one, other], (one, other)) for other in below] for one in above]
    if some_above and some_below:
        p, pair = min(min(row) for row in every)
        return min(1.0, len(above) * len(below) * p), pair
    if some_above:
        p, pair = min(max(row) for row in every)
        return min(1.0, len(above) * p), pair
    columns = list(zip(*every, strict=True))
    if some_below:
        p, pair = min(max(column) for column in columns)
        return min(1.0, len(below) * p), pair
    return max(max(row) for row in every)


def _is_best(side: Side) -> bool:
    return isinstance(side, Term) and side.quantifier == "best" and len(side.selection.names) > 1


def _series(side: Side, study: Study, metric: str) -> dict[str, Series | float]:
    """Return what a side is made of, by what it is called."""
    if isinstance(side, Constant):
        return {f"{side.value:g}": side.value}
    if isinstance(side, Gain):
        upper, lower = _one(side.upper, study, metric), _one(side.lower, study, metric)
        gain = {seed: upper[1][seed] - lower[1][seed] for seed in upper[1] if seed in lower[1]}
        return {f"{upper[0]} - {lower[0]}": gain}
    if side.quantifier in ("one", "mean"):
        return dict([_one(side, study, metric)])
    return {name: _runs_of(name, study, metric) for name in side.selection.names}


def _one(term: Term, study: Study, metric: str) -> tuple[str, Series]:
    """Return a term that is one series: an experiment, or the mean of several per seed."""
    names = term.selection.names
    series = [_runs_of(name, study, metric) for name in names]
    shared = [seed for seed in series[0] if all(seed in one for one in series)]
    return _called(term.selection), {seed: fmean(one[seed] for one in series) for seed in shared}


def _called(selection: Selection) -> str:
    first, *others = selection.names
    return f"the mean of {first} and {len(others)} more" if others else first


def _runs_of(name: str, study: Study, metric: str) -> Series:
    series = study.scored[name].series(metric) if name in study.scored else {}
    if not series:
        raise _NoRunsError(f"{name} has no complete run with {metric}")
    return series


def _paired(high: Series | float, low: Series | float) -> list[float]:
    """Return the differences over the seeds that both sides have."""
    if isinstance(high, Mapping):
        if isinstance(low, Mapping):
            return [high[seed] - low[seed] for seed in high if seed in low]
        return [value - low for value in high.values()]
    return [high - value for value in low.values()] if isinstance(low, Mapping) else []


def _difference(values: Sequence[float]) -> Difference:
    return difference(values) or Difference(0, 0.0)


def _two_sided(values: Sequence[float]) -> float:
    """Return twice the one-sided p value for a mean above zero: the interval of 95 % decides."""
    return min(1.0, 2 * p_exceeds(values, 0.0))


def _seeds(compared: Compared, alpha: float) -> int | None:
    found = compared.difference
    if not found.sd:
        return None
    return seeds_needed(found.mean - compared.margin, found.sd, alpha)
