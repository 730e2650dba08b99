"""The results that a report shows."""

from dataclasses import dataclass

from fmgrid.analysis.effects import Effect, StepEffect, find_effects, find_gains
from fmgrid.analysis.study import Noise, Study
from fmgrid.analysis.verdicts import Verdict, judge
from fmgrid.report.reference import Reference


@dataclass(frozen=True)
class Evidence:
    """A study with its analysis."""

    study: Study
    metric: str  # that experiments are ranked by
    effects: tuple[Effect, ...]  # largest first
    gains: tuple[StepEffect, ...]
    verdicts: tuple[Verdict, ...]  # each corrected within its grid
    noise: Noise | None  # of one run
    reference: Reference | None = None


def weigh(study: Study, reference: Reference | None = None) -> Evidence:
    """Return the analysis of a study with at least one complete run."""
    has_accuracy = any(one.series("accuracy") for one in study.scored.values())
    metric = "accuracy" if has_accuracy else "valid_loss"
    verdicts = [verdict for asked in study.asked for verdict in judge(asked.hypotheses, study)]
    return Evidence(
        study=study,
        metric=metric,
        effects=tuple(find_effects(study, metric)),
        gains=tuple(find_gains(study, metric)),
        verdicts=tuple(verdicts),
        noise=study.noise(metric),
        reference=reference,
    )
