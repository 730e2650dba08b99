"""Hypotheses and runs -> verdicts: confirmed, rejected, or not settled yet.

Every comparison of a hypothesis is a paired test over seeds, that of `statistics`. If all parts of
a claim must hold, the claim has the p value of its weakest part (an intersection-union test). If
one of several is enough, Bonferroni corrects p for their number. Holm corrects the p values of all
hypotheses of a grid: the chance of any false finding among them is at most 5 %. Of the other runs
of the folder only the noise counts. A claim is rejected by evidence for the contrary, never by lack
of evidence for it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Literal, TypeAlias, get_args

from fmgrid.analysis.comparisons import are_confounded
from fmgrid.analysis.experiments import (
    are_scored_alike,
    distinct,
    images_of,
)
from fmgrid.analysis.statistics import (
    ALPHA,
    Difference,
    Figures,
    Noise,
    difference,
    holm,
    mean_of,
    seeds_needed,
)
from fmgrid.analysis.study import Study
from fmgrid.hypotheses.language import (
    Constant,
    Contrast,
    Equivalence,
    Expectation,
    ExpectationError,
    Ordering,
    Side,
    Term,
    check_size,
    count_comparisons,
    names_of,
    parse_expectation,
    to_text,
)
from fmgrid.hypotheses.registry import Hypothesis
from fmgrid.metrics import METRICS

Word: TypeAlias = Literal["CONFIRMED", "REJECTED", "INCONCLUSIVE"]
WORDS: tuple[Word, ...] = get_args(Word)
_Parts: TypeAlias = tuple[Mapping[str, Figures], bool]  # of a side; whether only the best counts


@dataclass(frozen=True)
class PairTest:
    """The test that one side exceeds another by more than a margin, or falls short of it."""

    greater: str  # the side that is claimed to be greater, in words
    lesser: str
    difference: Difference  # greater minus lesser; of no seeds where they share none
    margin: float
    p: float  # corrected for the alternatives
    lead: float  # by which it holds in the mean
    alternatives: int = 1  # tests that might have decided
    images: tuple[int, int] | None = None  # seen by each, where they differ in that, time aside

    @property
    def doubt(self) -> tuple[float, float]:
        """How weak it is: by p, and among equal p by the lead."""
        return self.p, -self.lead


@dataclass(frozen=True)
class Verdict:
    """The judgement of a hypothesis by its runs."""

    stated: Hypothesis
    word: Word
    p: float  # Holm's, over the hypotheses of one grid
    compared: tuple[PairTest, ...] = ()  # link by link
    deciding: int = 0  # which of them is the weakest, or speaks most against the claim
    seeds: int | None = None  # of a fresh comparison that would settle it, None beyond reason
    reason: str = ""  # why nothing can be said, where that isn't for lack of seeds
    alone: float = 1.0  # p before it was corrected

    @property
    def is_tested(self) -> bool:
        """Whether anything was compared over two seeds or more, without which p means nothing."""
        return any(test.difference.sd is not None for test in self.compared)


def judge(hypotheses: Sequence[Hypothesis], study: Study) -> list[Verdict]:
    """Return the verdict on each hypothesis of one grid, corrected for all of them together.

    Those are not judged that come after too many comparisons: a record may be anybody's.
    """
    claims: list[_Claim | str] = []  # or the reason why there is none
    comparisons = 0
    for number, stated in enumerate(hypotheses, start=1):
        try:
            comparisons += count_comparisons(stated.resolved)
            check_size(number, comparisons)
            claims.append(_analyse(stated, study))
        except ExpectationError as error:
            claims.append(str(error))
    tested = [claim for claim in claims if isinstance(claim, _Claim)]
    corrected = iter(holm([claim.likelier.p for claim in tested]))
    return [
        Verdict(stated, "INCONCLUSIVE", 1.0, reason=claim)
        if isinstance(claim, str)
        else _verdict(stated, claim, next(corrected), ALPHA / len(tested), study)
        for stated, claim in zip(hypotheses, claims, strict=True)
    ]


def inconclusive_over_all(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return those that hold within their grid only, not corrected for all of them together."""
    judged = [verdict for verdict in verdicts if not verdict.reason]
    corrected = zip(judged, holm([verdict.alone for verdict in judged]), strict=True)
    return [verdict for verdict, p in corrected if verdict.word != "INCONCLUSIVE" and p > ALPHA]


# The tests for a claim and for its contrary


def _test(pair: tuple[str, str], difference: Difference, margin: float, sign: int) -> PairTest:
    """Test that differences exceed the margin, or with *sign* -1 that they fall short of it."""
    lead = sign * (difference.mean - margin) if difference.n else 0.0
    # Twice the one-sided p value: the interval of 95 % decides.
    one_sided = (difference if sign > 0 else difference.turned).p_above(sign * margin)
    return PairTest(*pair, difference, margin, min(1.0, 2 * one_sided) if lead > 0 else 1.0, lead)


def _difference(figures: Figures, noise: Noise) -> Difference:
    return difference(figures, noise) if figures.is_known else Difference(0, 0.0)


def _all(tests: Iterable[PairTest]) -> PairTest:
    """Return the test that all of some hold: it is as sure as the weakest."""
    return max(tests, key=lambda test: test.doubt)


def _any(tests: Sequence[PairTest]) -> PairTest:
    """Return the test that any of some holds: the surest, with p corrected for their number."""
    surest = min(tests, key=lambda test: test.doubt)
    p = min(1.0, len(tests) * surest.p)
    return replace(surest, p=p, alternatives=len(tests) * surest.alternatives)


@dataclass(frozen=True)
class _Claim:
    """The tests that a claim holds, and that its contrary does."""

    confirms: PairTest
    rejects: PairTest
    links: "Sequence[_Claim]" = ()  # that must all hold

    @property
    def is_contrary(self) -> bool:
        """Whether the contrary is the likelier: by p, and where these are equal by the lead."""
        return (self.rejects.p, self.confirms.lead) < (self.confirms.p, 0.0)

    @property
    def likelier(self) -> PairTest:
        """The test of what seems to hold."""
        return self.rejects if self.is_contrary else self.confirms


def _all_hold(links: Sequence[_Claim]) -> _Claim:
    """Return the claim that all links hold: one that doesn't is enough for the contrary."""
    confirms, rejects = [link.confirms for link in links], [link.rejects for link in links]
    return _Claim(_all(confirms), _any(rejects), links)


def _verdict(stated: Hypothesis, claim: _Claim, p: float, alpha: float, study: Study) -> Verdict:
    compared = tuple(_with_images(link.likelier, study) for link in claim.links)
    # The weakest link decides, or the one that speaks most against the claim.
    tests = [link.rejects if claim.is_contrary else link.confirms for link in claim.links]
    doubts = [test.doubt for test in tests]
    deciding = doubts.index(min(doubts) if claim.is_contrary else max(doubts))
    test = claim.likelier
    verdict = Verdict(stated, "INCONCLUSIVE", p, compared, deciding, alone=test.p)
    if p <= ALPHA:
        return replace(verdict, word="REJECTED" if claim.is_contrary else "CONFIRMED")
    result = test.difference
    sd = None if result.sd is None else result.error * result.n**0.5
    level = alpha / test.alternatives
    return replace(verdict, seeds=seeds_needed(result.mean - test.margin, sd, level))


def _with_images(test: PairTest, study: Study) -> PairTest:
    greater, lesser = map(study.scored.get, (test.greater, test.lesser))
    if greater and lesser and are_confounded(greater, lesser):
        return replace(test, images=(greater.images_seen or 0, lesser.images_seen or 0))
    return test


# A hypothesis -> its tests


def _analyse(stated: Hypothesis, study: Study) -> _Claim:
    """Return the tests of a hypothesis. Raises `ExpectationError` with why there are none."""
    expectation, metric = stated.resolved, stated.metric
    if metric not in METRICS:  # in a record that may be anybody's
        raise ExpectationError(f"no run has {metric}")
    _refuse_other_images(expectation, study, metric)
    if isinstance(expectation, Equivalence):
        return _equivalence(expectation, study, metric)
    written = parse_expectation(stated.expect)
    called = written.sides if isinstance(written, Ordering) else ()
    if len(called) != len(expectation.sides):  # a stranger's record, which shows another one
        called = expectation.sides
    sides = [
        _to_figures(side, to_text(as_written), study, metric)
        for side, as_written in zip(expectation.sides, called, strict=True)
    ]
    falls = expectation.sign == ">"
    pairs = [pair if falls else pair[::-1] for pair in pairwise(sides)]
    noise = _noise_of(expectation, study, metric)
    return _all_hold([_link(*pair, expectation.margin, metric, noise) for pair in pairs])


def _noise_of(expectation: Expectation, study: Study, metric: str) -> Noise:
    """Return how the results vary that an expectation is about."""
    return study.noise(metric, study.scored[names_of(expectation)[0]])


def _refuse_other_images(expectation: Expectation, study: Study, metric: str) -> None:
    sides = (expectation,) if isinstance(expectation, Equivalence) else expectation.sides
    parts = [list(pair) for pair in pairwise(sides) if Constant not in map(type, pair)]
    # A mean and a difference are of several figures themselves.
    parts += [[side] for side in sides if not isinstance(side, Term) or side.quantifier == "mean"]
    for part in parts:
        names = [name for side in part for name in names_of(side)]
        scored = [study.scored[name] for name in names if name in study.scored]
        for experiment in scored[1:]:
            if not are_scored_alike([scored[0], experiment], metric):
                raise ExpectationError(
                    f"{scored[0].name} is scored on {images_of(scored[0])}, {experiment.name} on "
                    f"{images_of(experiment)}: figures of different images are not compared"
                )


def _equivalence(equivalence: Equivalence, study: Study, metric: str) -> _Claim:
    """Test that no two differ by more than the limit: two one-sided tests a pair (Schuirmann).

    Of the two tests of a pair the one on the side of its mean decides.
    """
    names = names_of(equivalence)
    series = _series_of(names, study, metric)
    is_one = len(series) == 1  # one training under several names: more runs show nothing else
    if is_one:
        series = {name: runs for runs in series.values() for name in names}
    pairs, noise = [], _noise_of(equivalence, study, metric)
    for pair in combinations(series, 2):
        result = _difference(series[pair[0]].minus(series[pair[1]]), noise)
        names_of_pair = pair
        if result.mean < 0:
            names_of_pair, result = pair[::-1], result.turned
        limit = equivalence.limit
        within, beyond = (_test(names_of_pair, result, limit, sign) for sign in (-1, 1))
        pairs.append(_Claim(within, beyond))
    claim = _all_hold(pairs)
    if is_one:
        claim = replace(claim, confirms=replace(claim.confirms, p=0.0))
    return _all_hold([claim])


def _link(greater: _Parts, lesser: _Parts, margin: float, metric: str, noise: Noise) -> _Claim:
    """Return the tests that one side exceeds the other by more than *margin*."""
    # "Best of" is the greatest of accuracies and the least of losses. The greatest exceeds what
    # some one of them exceeds; the least does if all of them do; and with "each of" all must.
    # For the contrary it is the other way round.
    is_higher_better = bool(METRICS[metric].is_higher_better)
    (highs, is_best_above), (lows, is_best_below) = greater, lesser
    any_above = is_best_above and is_higher_better
    any_below = is_best_below and not is_higher_better
    differences = {
        (above, below): _difference(high.minus(low), noise)
        for above, high in highs.items()
        for below, low in lows.items()
    }

    def test(sign: int) -> PairTest:
        alternatives: dict[tuple[str, str], list[PairTest]] = defaultdict(list)
        for (above, below), result in differences.items():
            one_of_above = above if any_above == (sign > 0) else ""
            one_of_below = below if any_below == (sign > 0) else ""
            tested = _test((above, below), result, margin, sign)
            alternatives[one_of_above, one_of_below].append(tested)
        return _any([_all(tests) for tests in alternatives.values()])

    return _Claim(test(1), test(-1))


def _to_figures(side: Side, text: str, study: Study, metric: str) -> _Parts:
    """Return the figures of a side; *text* is how it was written."""
    if isinstance(side, Constant):
        return {text: Figures(dict.fromkeys(study.seeds, side.value), {})}, False
    if isinstance(side, Contrast):
        upper, lower = (_mean_of(term, study, metric) for term in (side.upper, side.lower))
        return {text: upper.minus(lower)}, False
    if side.quantifier == "mean":
        return {text: _mean_of(side, study, metric)}, False
    return _series_of(names_of(side), study, metric), side.quantifier == "best"


def _mean_of(term: Term, study: Study, metric: str) -> Figures:
    """Return a term that is one series: an experiment, or the mean of several per seed."""
    return mean_of(list(_series_of(names_of(term), study, metric).values()))


def _series_of(names: Iterable[str], study: Study, metric: str) -> dict[str, Figures]:
    """Return the runs of experiments by name; what was trained once counts once."""
    experiments = []
    for name in names:
        if name not in study.scored or not study.scored[name].series(metric):
            raise ExpectationError(f"{name} has no complete run with {metric}")
        experiments.append(study.scored[name])
    return {experiment.name: experiment.figures(metric) for experiment in distinct(experiments)}


def is_late(stated: Hypothesis, study: Study) -> bool:
    """Return whether a run of a hypothesis' experiments began before it was first seen.

    A run of the same configuration under another name counts, and so does a run of plain
    mltrainer, whose start is not known.
    """
    scored = study.scored
    names = {
        alias
        for name in names_of(stated.resolved)
        for alias in (scored[name].names if name in scored else [name])
    }
    return any(
        study.begun[name] < stated.since if name in study.begun else name in scored
        for name in names
    )
