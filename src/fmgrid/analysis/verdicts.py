"""Hypotheses and runs -> verdicts: confirmed, rejected, or not settled yet.

Every comparison that a hypothesis makes is a paired t test over seeds. What must all hold is as
sure as its weakest part (an intersection-union test); what need hold for one of several is
corrected for their number (Bonferroni); and the p values of all hypotheses of a grid are corrected
by Holm's method, so that the chance of even one wrong verdict among them is at most 5 %. What else
is in the folder changes no verdict. A claim is rejected by evidence for the contrary, never by lack
of evidence for it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import ceil, log2
from statistics import fmean
from typing import Literal, TypeAlias, get_args

from fmgrid.analysis.experiments import (
    UNKNOWN_SEED,
    are_confounded,
    are_scored_alike,
    distinct,
    images_of,
    together,
)
from fmgrid.analysis.statistics import (
    ALPHA,
    ROUNDING,
    Difference,
    difference,
    holm,
    mean_by_seed,
    minus,
    p_positive,
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
from fmgrid.hypotheses.registry import RegisteredHypothesis
from fmgrid.metrics import METRICS

Word: TypeAlias = Literal["CONFIRMED", "REJECTED", "INCONCLUSIVE"]
WORDS: tuple[Word, ...] = get_args(Word)
Series: TypeAlias = Mapping[int, float]


@dataclass(frozen=True)
class Compared:
    """One comparison of a hypothesis, with the two that decide it."""

    greater: str  # what is claimed to be greater, in words
    lesser: str
    difference: Difference  # greater minus lesser
    margin: float  # that it has to exceed, or to stay within
    images: tuple[int, int] | None = None  # seen by each, where they differ in that, time aside
    alternatives: int = 1  # how many might have decided, which p is corrected for

    @property
    def is_same(self) -> bool:
        """Whether the two had the same figure in every run."""
        return bool(self.difference.n) and self.difference.is_none

    @property
    def turned(self) -> "Compared":
        """The same, said the other way."""
        found = self.difference
        low, high = (None if bound is None else -bound for bound in (found.high, found.low))
        return replace(
            self,
            greater=self.lesser,
            lesser=self.greater,
            difference=replace(found, mean=-found.mean, low=low, high=high),
            margin=-self.margin,
            images=self.images and self.images[::-1],
        )

    def seeds(self, alpha: float) -> int | None:
        """Return how many seeds in all would settle it, None if not within reason."""
        lead, sd = self.difference.mean - self.margin, self.difference.sd
        if sd is None or abs(lead) <= ROUNDING:
            return None
        if sd <= ROUNDING:  # all differences are the same, which a sign test judges
            return ceil(log2(2 / alpha))
        return seeds_needed(lead, sd, alpha)


@dataclass(frozen=True)
class Verdict:
    """What the runs say of a hypothesis."""

    stated: RegisteredHypothesis
    word: Word
    p: float  # Holm's, over the hypotheses of one grid
    compared: tuple[Compared, ...] = ()  # link by link
    deciding: int = 0  # which of them is the weakest, or speaks most against the claim
    more_seeds: int | None = None  # that would settle it, estimated; None if not within reason
    reason: str = ""  # why nothing can be said, where that isn't for lack of seeds
    alone: float | None = None  # p before it was corrected, None where nothing can be said

    @property
    def is_tested(self) -> bool:
        """Whether anything was compared over two seeds or more, so that p means something."""
        return any(one.difference.sd is not None for one in self.compared)


def judge(hypotheses: Sequence[RegisteredHypothesis], study: Study) -> list[Verdict]:
    """Return the verdict on each hypothesis of one grid, corrected for all of them together."""
    claims = list(_analyse_all(hypotheses, study))
    tested = [one for one in claims if isinstance(one, _Claim)]
    corrected = iter(holm([claim.likelier.p for claim in tested]))
    return [
        Verdict(stated, "INCONCLUSIVE", 1.0, reason=claim)
        if isinstance(claim, str)
        else _verdict(stated, claim, next(corrected), ALPHA / len(tested), study)
        for stated, claim in zip(hypotheses, claims, strict=True)
    ]


def open_over_all(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return those that hold within their grid only, not corrected for all of them together."""
    judged = [(one, one.alone) for one in verdicts if one.alone is not None]
    corrected = holm([alone for _, alone in judged])
    return [
        one
        for (one, _), p in zip(judged, corrected, strict=True)
        if one.word != "INCONCLUSIVE" and p > ALPHA
    ]


# The tests for a claim and for its contrary


@dataclass(frozen=True)
class _Test:
    """That one side exceeds the other by more than a margin, or falls short of it."""

    p: float  # corrected for the alternatives
    lead: float  # by which it does so in the mean
    pair: tuple[str, str]
    values: Sequence[float]  # the differences of the pair
    margin: float
    alternatives: int = 1

    @property
    def doubt(self) -> tuple[float, float]:
        """How little it is shown: by p, and among equal p by the lead."""
        return self.p, -self.lead

    def compared(self, study: Study) -> Compared:
        """Return the pair with its figures, and its images where these differ, time aside."""
        result = difference(self.values) or Difference(0, 0.0)
        images = None
        one, other = map(study.scored.get, self.pair)
        if one and other and are_confounded(one, other):
            images = (one.images_seen or 0, other.images_seen or 0)
        return Compared(*self.pair, result, self.margin, images, self.alternatives)


def _test(pair: tuple[str, str], values: Sequence[float], margin: float, sign: int) -> _Test:
    """Test that differences exceed the margin, or with *sign* -1 that they fall short of it."""
    leads = [sign * (value - margin) for value in values]
    lead = fmean(leads) if leads else 0.0
    # Twice the one-sided p value: the interval of 95 % decides.
    p = min(1.0, 2 * p_positive(leads)) if lead > 0 else 1.0
    return _Test(p, lead, pair, values, margin)


def _all(tests: Iterable[_Test]) -> _Test:
    """Return the test that all of some hold: it is as sure as the weakest."""
    return max(tests, key=lambda test: test.doubt)


def _any(tests: Sequence[_Test]) -> _Test:
    """Return the test that any of some holds: the surest, with p corrected for their number."""
    surest = min(tests, key=lambda test: test.doubt)
    p = min(1.0, len(tests) * surest.p)
    return replace(surest, p=p, alternatives=len(tests) * surest.alternatives)


@dataclass(frozen=True)
class _Claim:
    """The tests that a claim holds, and that its contrary does."""

    confirms: _Test
    rejects: _Test
    links: "Sequence[_Claim]" = ()  # that must all hold

    @property
    def is_contrary(self) -> bool:
        """Whether the contrary is the likelier."""
        if self.confirms.p == self.rejects.p:
            return self.confirms.lead < 0
        return self.rejects.p < self.confirms.p

    @property
    def likelier(self) -> _Test:
        """The test of what seems to hold."""
        return self.rejects if self.is_contrary else self.confirms

    @property
    def deciding(self) -> "_Claim":
        """The weakest link, or the one that speaks most against the claim."""
        if self.is_contrary:
            return min(self.links, key=lambda link: link.rejects.doubt)
        return max(self.links, key=lambda link: link.confirms.doubt)


def _all_hold(links: Sequence[_Claim]) -> _Claim:
    """Return the claim that all links hold: one that doesn't is enough for the contrary."""
    confirms, rejects = [link.confirms for link in links], [link.rejects for link in links]
    return _Claim(_all(confirms), _any(rejects), links)


def _verdict(
    stated: RegisteredHypothesis, claim: _Claim, p: float, alpha: float, study: Study
) -> Verdict:
    test = claim.likelier
    compared = tuple(link.likelier.compared(study) for link in claim.links)
    deciding = claim.links.index(claim.deciding)
    verdict = Verdict(stated, "INCONCLUSIVE", p, compared, deciding, alone=test.p)
    if p <= ALPHA:
        return replace(verdict, word="REJECTED" if claim.is_contrary else "CONFIRMED")
    needed = test.compared(study).seeds(alpha / test.alternatives)
    repeats = min(one.difference.n for one in compared)
    return replace(verdict, more_seeds=needed and max(1, needed - repeats))


# A hypothesis -> its tests


def _analyse_all(
    hypotheses: Sequence[RegisteredHypothesis], study: Study
) -> Iterator[_Claim | str]:
    """Yield the tests of each hypothesis of a grid, or the reason why there are none.

    A grid is refused that makes too many comparisons. What stands in a folder may be anybody's.
    """
    comparisons = 0
    for number, stated in enumerate(hypotheses, start=1):
        try:
            comparisons += count_comparisons(stated.resolved)
            check_size(number, comparisons)
            yield _analyse(stated, study)
        except ExpectationError as error:
            yield str(error)


def _analyse(stated: RegisteredHypothesis, study: Study) -> _Claim:
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
    return _all_hold([_link(*pair, expectation.margin, metric) for pair in pairs])


def _refuse_other_images(expectation: Expectation, study: Study, metric: str) -> None:
    """Raise `ExpectationError` if an expectation compares figures of different images."""
    for sides in _compared_sides(expectation):
        names = [name for side in sides for name in names_of(side)]
        known = [study.scored[name] for name in names if name in study.scored]
        other = next((one for one in known if not are_scored_alike([known[0], one], metric)), None)
        if other:
            raise ExpectationError(
                f"{known[0].name} is scored on {images_of(known[0])}, {other.name} on "
                f"{images_of(other)}: figures of different images are not compared"
            )


def _compared_sides(expectation: Expectation) -> Iterator[tuple[Expectation | Side, ...]]:
    """Yield the parts whose experiments have their figures set against each other."""
    if isinstance(expectation, Equivalence):
        yield (expectation,)
        return
    yield from (pair for pair in pairwise(expectation.sides) if Constant not in map(type, pair))
    for side in expectation.sides:  # a mean and a difference are of several figures themselves
        if isinstance(side, Contrast) or (isinstance(side, Term) and side.quantifier == "mean"):
            yield (side,)


def _equivalence(equivalence: Equivalence, study: Study, metric: str) -> _Claim:
    """Test that no two differ by more than the limit: two one-sided tests a pair (Schuirmann).

    Of the two tests of a pair the one on the side of its mean decides.
    """
    names = names_of(equivalence)
    series = _series_of(names, study, metric)
    is_one = len(series) == 1  # one training under several names: more runs show nothing else
    if is_one:
        series = {name: _runs_of(name, study, metric) for name in names}
    pairs = []
    for one, other in combinations(series, 2):
        if sum(minus(series[one], series[other]).values()) < 0:
            one, other = other, one  # noqa: PLW2901
        values = list(minus(series[one], series[other]).values())
        within, beyond = (_test((one, other), values, equivalence.limit, sign) for sign in (-1, 1))
        pairs.append(_Claim(within, beyond))
    claim = _all_hold(pairs)
    if is_one:
        claim = replace(claim, confirms=replace(claim.confirms, p=0.0))
    return _all_hold([claim])


@dataclass(frozen=True)
class _Figures:
    """One side of a comparison: figures by seed of all that it is made of."""

    series: Mapping[str, Series]  # by name
    is_best: bool = False  # it is the best of them that counts, otherwise each


def _link(greater: _Figures, lesser: _Figures, margin: float, metric: str) -> _Claim:
    """Return the tests that one side exceeds the other by more than *margin*."""
    # "Best of" is the greatest of accuracies and the least of losses. The greatest exceeds what
    # some one of them exceeds; the least does if all of them do; and with "each of" all must.
    # For the contrary it is the other way round.
    is_higher_better = bool(METRICS[metric].is_higher_better)
    any_above = greater.is_best and is_higher_better
    any_below = lesser.is_best and not is_higher_better

    def test(sign: int) -> _Test:
        tests = [
            _test((above, below), list(minus(high, low).values()), margin, sign)
            for above, high in greater.series.items()
            for below, low in lesser.series.items()
        ]
        by_alternative = together(
            tests,
            lambda one: (
                one.pair[0] if any_above == (sign > 0) else "",
                one.pair[1] if any_below == (sign > 0) else "",
            ),
        )
        return _any([_all(those) for those in by_alternative])

    return _Claim(test(1), test(-1))


def _to_figures(side: Side, text: str, study: Study, metric: str) -> _Figures:
    """Return the figures of a side; *text* is how it was written."""
    if isinstance(side, Constant):
        return _Figures({text: dict.fromkeys([UNKNOWN_SEED, *study.seeds], side.value)})
    if isinstance(side, Contrast):
        upper, lower = (_mean_of(term, study, metric) for term in (side.upper, side.lower))
        return _Figures({text: minus(upper, lower)})
    if side.quantifier in ("one", "mean"):
        name = text if side.quantifier == "mean" else names_of(side)[0]
        return _Figures({name: _mean_of(side, study, metric)})
    return _Figures(_series_of(names_of(side), study, metric), side.quantifier == "best")


def _mean_of(term: Term, study: Study, metric: str) -> Series:
    """Return a term that is one series: an experiment, or the mean of several per seed."""
    return mean_by_seed(list(_series_of(names_of(term), study, metric).values()))


def _series_of(names: Iterable[str], study: Study, metric: str) -> dict[str, Series]:
    """Return the runs of experiments by name; what was trained once counts once."""
    series = {name: _runs_of(name, study, metric) for name in names}
    return {one.name: series[one.name] for one in distinct(study.scored[name] for name in series)}


def _runs_of(name: str, study: Study, metric: str) -> Series:
    series = study.scored[name].series(metric) if name in study.scored else {}
    if not series:
        raise ExpectationError(f"{name} has no complete run with {metric}")
    return series


def had_begun(stated: RegisteredHypothesis, study: Study) -> bool:
    """Return whether a run of a hypothesis' experiments began before it was first seen.

    A run of the same configuration under another name counts, and so does a run of plain
    mltrainer, whose start is not known.
    """
    scored = study.scored
    names = {
        known
        for name in names_of(stated.resolved)
        for known in (scored[name].names if name in scored else [name])
    }
    return any(
        study.begun[name] < stated.since if name in study.begun else name in scored
        for name in names
    )
