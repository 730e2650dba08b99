"""Hypotheses and runs -> verdicts: confirmed, rejected, or not settled yet.

Every comparison that a hypothesis makes is a paired t test over seeds. What must all hold is as
sure as its weakest part (an intersection-union test); what need hold for one of several is
corrected for their number (Bonferroni); and the p values of all hypotheses of a grid are corrected
by Holm's method, so that the chance of even one wrong verdict among them is at most 5 %. What else
is in the folder changes no verdict. A claim is rejected by evidence for the contrary, never by lack
of evidence for it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import ceil, inf, log2
from statistics import fmean
from typing import Literal, TypeAlias, get_args

from fmgrid.analysis.statistics import (
    ALPHA,
    ROUNDING,
    Difference,
    difference,
    holm,
    mean_by_seed,
    p_exceeds,
    seeds_needed,
)
from fmgrid.analysis.study import (
    Study,
    are_confounded,
    are_scored_alike,
    distinct,
    images_of,
    is_higher_better,
)
from fmgrid.hypotheses.claims import (
    MAX_HYPOTHESES,
    Alike,
    Chain,
    ClaimError,
    Constant,
    Expectation,
    Gain,
    Side,
    Term,
    check_size,
    count_comparisons,
    parse_expectation,
    read_resolved,
    selections,
    side_terms,
    side_text,
)
from fmgrid.hypotheses.records import Stated

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
        turned = replace(found, mean=-found.mean, low=low, high=high)
        images = self.images and self.images[::-1]
        return replace(
            self,
            greater=self.lesser,
            lesser=self.greater,
            difference=turned,
            margin=-self.margin,
            images=images,
        )


@dataclass(frozen=True)
class Verdict:
    """What the runs say of a hypothesis."""

    stated: Stated
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


@dataclass(frozen=True)
class _Evidence:
    """Uncorrected p values for a hypothesis and for its contrary, and what they come from."""

    confirms: float
    rejects: float
    compared: tuple[Compared, ...]
    settled_by: Callable[[float], int | None]  # alpha -> seeds in all
    deciding: int = 0

    @property
    def p(self) -> float:
        """Of what it seems to show."""
        return min(1.0, self.confirms, self.rejects)


@dataclass(frozen=True)
class _Weighed:
    """A side of a comparison: what it is made of, by name; a number is the same for all seeds."""

    series: Mapping[str, Series | float]
    is_best: bool = False  # it is the best of them that counts, otherwise each


@dataclass(frozen=True)
class _Test:
    """That one side exceeds the other, or the contrary."""

    p: float
    compared: Compared  # the pair that p is of
    seeds: Callable[[float], int | None]  # alpha -> seeds in all that would show it


@dataclass(frozen=True)
class _Link:
    """Two sides of which one is claimed to be the greater."""

    confirms: _Test
    rejects: _Test

    @property
    def is_contrary(self) -> bool:
        """Whether it seems to show the contrary of the claim."""
        if self.confirms.p == self.rejects.p:
            found = self.confirms.compared
            return found.difference.mean < found.margin
        return self.rejects.p < self.confirms.p

    @property
    def likelier(self) -> _Test:
        """What it seems to show."""
        return self.rejects if self.is_contrary else self.confirms


def judge(hypotheses: Sequence[Stated], study: Study) -> list[Verdict]:
    """Return the verdict on each hypothesis of one grid, corrected for all of them together."""
    weighed = list(_weigh_all(hypotheses, study))
    found = [evidence for evidence in weighed if isinstance(evidence, _Evidence)]
    corrected = iter(holm([one.p for one in found]))
    return [
        _verdict(stated, evidence, next(corrected), ALPHA / len(found))
        if isinstance(evidence, _Evidence)
        else Verdict(stated, "INCONCLUSIVE", 1.0, reason=evidence)
        for stated, evidence in zip(hypotheses, weighed, strict=True)
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


def _verdict(stated: Stated, evidence: _Evidence, p: float, alpha: float) -> Verdict:
    verdict = Verdict(
        stated, "INCONCLUSIVE", p, evidence.compared, evidence.deciding, alone=evidence.p
    )
    if p <= ALPHA:
        return replace(
            verdict, word="CONFIRMED" if evidence.confirms < evidence.rejects else "REJECTED"
        )
    repeats = min(one.difference.n for one in evidence.compared)
    needed = evidence.settled_by(alpha)
    return replace(verdict, more_seeds=needed and max(1, needed - repeats))


def _weigh_all(hypotheses: Sequence[Stated], study: Study) -> Iterator[_Evidence | str]:
    """Yield the evidence for each hypothesis of a grid, or why there is none.

    A grid is refused that makes too many comparisons. What stands in a folder may be anybody's.
    """
    comparisons = 0
    for number, stated in enumerate(hypotheses, start=1):
        if number > MAX_HYPOTHESES:
            yield f"comes after {MAX_HYPOTHESES} others, the limit of a grid"
            continue
        try:
            expectation = read_resolved(stated.resolved)
            comparisons += count_comparisons(expectation)
            check_size(comparisons)
        except ClaimError as error:
            yield str(error)
            continue
        yield _weigh(stated, expectation, study)


def _weigh(stated: Stated, expectation: Expectation, study: Study) -> _Evidence | str:
    """Return the evidence for a hypothesis, or why there is none."""
    try:
        _refuse_other_images(expectation, study, stated.metric)
        if isinstance(expectation, Alike):
            found = _weigh_alike(expectation, study, stated.metric)
        else:
            written = parse_expectation(stated.expect)
            # A stranger's record may resolve another expectation than it shows.
            called = expectation.sides
            if isinstance(written, Chain) and len(written.sides) == len(called):
                called = written.sides
            found = _weigh_chain(expectation, called, study, stated.metric)
        return replace(found, compared=tuple(_with_images(one, study) for one in found.compared))
    except (ClaimError, _NoRunsError, _OtherImagesError) as error:
        return str(error)


def _with_images(compared: Compared, study: Study) -> Compared:
    """Note the images that two experiments saw, where these are not what is compared."""
    one, other = (study.scored.get(name) for name in (compared.greater, compared.lesser))
    if one is None or other is None or not are_confounded(one, other):
        return compared
    return replace(compared, images=(one.images_seen or 0, other.images_seen or 0))


class _NoRunsError(Exception):
    """An experiment of a hypothesis has no run to judge by."""


class _OtherImagesError(Exception):
    """A hypothesis compares experiments that different images judge."""


def _refuse_other_images(expectation: Expectation, study: Study, metric: str) -> None:
    """Raise `_OtherImagesError` if an expectation compares figures of different images."""
    for names in _compared_names(expectation):
        known = [study.scored[name] for name in names if name in study.scored]
        other = next((one for one in known if not are_scored_alike([known[0], one], metric)), None)
        if other:
            first, second = images_of(known[0]), images_of(other)
            raise _OtherImagesError(
                f"{known[0].name} is scored on {first}, {other.name} on {second}: "
                "figures of different images are not compared"
            )


def _compared_names(expectation: Expectation) -> Iterator[list[str]]:
    """Yield the names of experiments whose figures are set against each other."""
    if isinstance(expectation, Alike):
        yield list(expectation.selection.names)
        return
    for pair in pairwise(expectation.sides):
        if not any(isinstance(side, Constant) for side in pair):
            yield [name for side in pair for name in _names_of(side)]
    for side in expectation.sides:  # a mean and a difference are of several figures themselves
        if isinstance(side, Gain) or (isinstance(side, Term) and side.quantifier == "mean"):
            yield _names_of(side)


def _names_of(side: Side) -> list[str]:
    return [name for term in side_terms(side) for name in term.selection.names]


def _weigh_chain(chain: Chain, called: Sequence[Side], study: Study, metric: str) -> _Evidence:
    """Weigh all links of a chain; *called* are its sides as they were written."""
    sides = [_weighed(*pair, study, metric) for pair in zip(chain.sides, called, strict=True)]
    ordered = sides if chain.sign == ">" else sides[::-1]
    links = [_link(greater, lesser, chain.margin, metric) for greater, lesser in pairwise(ordered)]
    if chain.sign == "<":
        links.reverse()
    contrary = [link for link in links if link.is_contrary]

    def settled_by(alpha: float) -> int | None:
        if contrary:  # one link that is wrong is enough
            needed = [link.rejects.seeds(alpha / len(links)) for link in contrary]
            return min((seeds for seeds in needed if seeds is not None), default=None)
        return _most(link.confirms.seeds(alpha) for link in links)

    confirms = max(link.confirms.p for link in links)
    rejects = min(1.0, len(links) * min(link.rejects.p for link in links))

    def decides(at: int) -> tuple[float, bool]:
        """Return how much a link decides: the weakest, or what speaks most against the claim."""
        link = links[at]
        p = link.confirms.p if confirms <= rejects else -link.rejects.p
        return p, link.is_contrary

    return _Evidence(
        confirms=confirms,
        rejects=rejects,
        compared=tuple(link.likelier.compared for link in links),
        settled_by=settled_by,
        deciding=max(range(len(links)), key=decides),
    )


def _weigh_alike(alike: Alike, study: Study, metric: str) -> _Evidence:
    """Weigh that no two differ by more than the limit: two one-sided tests a pair (Schuirmann)."""
    sides = [(name, _runs_of(name, study, metric)) for name in alike.selection.names]
    pairs = [
        (one, other, _paired(first, second))
        for (one, first), (other, second) in combinations(sides, 2)
    ]
    # Of the two tests of a pair the one on the side of its mean decides.
    turned = [
        values if _mean(values) >= 0 else [-value for value in values] for *_, values in pairs
    ]
    within = [_two_sided([alike.limit - value for value in values]) for values in turned]
    beyond = [_two_sided([value - alike.limit for value in values]) for values in turned]
    is_within = max(within) <= min(1.0, len(pairs) * min(beyond))
    # What p is of: the pair that is least surely within, or most surely beyond; of equals, the
    # two that lie furthest apart.
    told = within if is_within else [-p for p in beyond]
    apart = [abs(_mean(values)) for *_, values in pairs]
    at = max(range(len(pairs)), key=lambda at: (told[at], apart[at]))
    shown = _alike(*pairs[at], alike.limit)
    # One training under several names, of which no further run can show anything else.
    is_one = len({study.scored[name].configuration for name, _ in sides}) == 1

    def settled_by(alpha: float) -> int | None:
        if is_within:
            return _most_seeds((_alike(*pair, alike.limit) for pair in pairs), alpha)
        return _seeds(shown, alpha / len(pairs))

    return _Evidence(
        confirms=0.0 if is_one else max(within),
        rejects=min(1.0, len(pairs) * min(beyond)),
        compared=(shown if is_within else replace(shown, alternatives=len(pairs)),),
        settled_by=settled_by,
    )


def _alike(one: str, other: str, values: Sequence[float], limit: float) -> Compared:
    """Return two as they are compared, the greater first."""
    if _mean(values) < 0:
        one, other, values = other, one, [-value for value in values]
    return Compared(one, other, _difference(values), limit)


def _most(needed: Iterable[int | None]) -> int | None:
    """Return the most of several numbers of seeds, None if one of them is beyond reason."""
    known = list(needed)
    return None if None in known else max(seeds for seeds in known if seeds is not None)


def _link(greater: _Weighed, lesser: _Weighed, margin: float, metric: str) -> _Link:
    """Weigh that one side exceeds the other by more than *margin*."""
    values = {
        (above, below): _paired(high, low)
        for above, high in greater.series.items()
        for below, low in lesser.series.items()
    }
    # "Best of" is the greatest of accuracies and the least of losses. The greatest exceeds what
    # some one of them exceeds; the least does if all of them do; and with "each of" all must.
    some_above = greater.is_best and is_higher_better(metric)
    some_below = lesser.is_best and not is_higher_better(metric)
    return _Link(
        _test(values, margin, 1, some_above=some_above, some_below=some_below),
        _test(values, margin, -1, some_above=not some_above, some_below=not some_below),
    )


def _test(
    values: Mapping[tuple[str, str], Sequence[float]],
    margin: float,
    sign: int,
    *,
    some_above: bool,
    some_below: bool,
) -> _Test:
    """Test that differences exceed the margin, or with *sign* -1 that they fall short of it.

    That all pairs do, or some one of a side with all of the other, for whose number p is corrected.
    """
    above = list(dict.fromkeys(one for one, _ in values))
    below = list(dict.fromkeys(other for _, other in values))
    if some_above and some_below:
        alternatives = [[pair] for pair in values]
    elif some_above:
        alternatives = [[(one, other) for other in below] for one in above]
    elif some_below:
        alternatives = [[(one, other) for one in above] for other in below]
    else:
        alternatives = [list(values)]

    def doubt(pair: tuple[str, str]) -> tuple[float, float]:
        """Return how little a pair shows it: by p, and of equals by the difference."""
        leads = [sign * (one - margin) for one in values[pair]]
        return _two_sided(leads), -_mean(leads)

    doubts = {pair: doubt(pair) for pair in values}
    pairs = min(alternatives, key=lambda pairs: max(map(doubts.__getitem__, pairs)))
    weakest = max(pairs, key=doubts.__getitem__)

    def compared(pair: tuple[str, str]) -> Compared:
        found = _difference(values[pair])
        return Compared(*pair, found, margin, alternatives=len(alternatives))

    return _Test(
        p=min(1.0, len(alternatives) * doubts[weakest][0]),
        compared=compared(weakest),
        seeds=lambda alpha: _most_seeds(map(compared, pairs), alpha / len(alternatives)),
    )


def _weighed(side: Side, written: Side, study: Study, metric: str) -> _Weighed:
    """Return what a side is made of, called as it was written."""
    if isinstance(side, Constant):
        return _Weighed({side_text(written): side.value})
    if isinstance(side, Gain):
        upper, lower = _mean_of(side.upper, study, metric), _mean_of(side.lower, study, metric)
        gain = {seed: upper[seed] - lower[seed] for seed in upper if seed in lower}
        return _Weighed({side_text(written): gain})
    if side.quantifier in ("one", "mean"):
        name = side_text(written) if side.quantifier == "mean" else side.selection.names[0]
        return _Weighed({name: _mean_of(side, study, metric)})
    series = {name: _runs_of(name, study, metric) for name in side.selection.names}
    series = {one.name: series[one.name] for one in distinct(study.scored[name] for name in series)}
    return _Weighed(series, is_best=side.quantifier == "best" and len(series) > 1)


def _mean_of(term: Term, study: Study, metric: str) -> Series:
    """Return a term that is one series: an experiment, or the mean of several per seed."""
    return mean_by_seed([_runs_of(name, study, metric) for name in term.selection.names])


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


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0


def _difference(values: Sequence[float]) -> Difference:
    return difference(values) or Difference(0, 0.0)


def _two_sided(values: Sequence[float]) -> float:
    """Return twice the one-sided p value for a mean above zero: the interval of 95 % decides."""
    return min(1.0, 2 * p_exceeds(values, 0.0)) if _mean(values) > 0 else 1.0


def _most_seeds(compared: Iterable[Compared], alpha: float) -> int | None:
    """Return the seeds that all comparisons take, None if one of them is beyond reason.

    The smallest effect takes most, so that of those that vary it is the only one to be asked.
    """
    is_beyond = False
    constant = hardest = None
    smallest = inf
    for one in compared:
        found = one.difference
        lead = abs(found.mean - one.margin)
        if found.sd is None or lead <= ROUNDING:
            is_beyond = True
        elif found.sd <= ROUNDING:
            constant = one
        elif (effect := lead / found.sd) < smallest:
            smallest, hardest = effect, one
    if is_beyond:
        return None
    return _most(_seeds(one, alpha) for one in (constant, hardest) if one is not None)


def _seeds(compared: Compared, alpha: float) -> int | None:
    found = compared.difference
    lead = found.mean - compared.margin
    if found.sd is None or abs(lead) <= ROUNDING:
        return None
    if found.sd <= ROUNDING:  # all differences are the same, which a sign test judges
        return ceil(log2(2 / alpha))
    return seeds_needed(lead, found.sd, alpha)


def had_begun(stated: Stated, study: Study) -> bool:
    """Return whether a run of a hypothesis' experiments began before it was first seen.

    A run of the same configuration under another name counts, and so does a run of plain
    mltrainer, whose start is not known.
    """
    try:
        about = selections(read_resolved(stated.resolved))
        names = {name for selection in about for name in selection.names}
    except ClaimError:
        names = set(study.begun)
    of = {study.scored[name].configuration for name in names if name in study.scored}
    names |= {one.name for one in study.scored.values() if one.configuration in of}
    return any(
        study.begun[name] < stated.since if name in study.begun else name in study.scored
        for name in names
    )
