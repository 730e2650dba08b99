"""Studies that were never trained, put in order as those that were: runs, then `to_study`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fmgrid.analysis.effects import Effect
from fmgrid.analysis.evidence import Evidence, weigh
from fmgrid.analysis.experiments import ExperimentRuns
from fmgrid.analysis.study import Study, to_study
from fmgrid.experiment import Experiment
from fmgrid.hypotheses.registry import GridRecord
from fmgrid.metrics import METRICS
from fmgrid.results.summary import Contents, StoredRun
from fmgrid.settings import SETTINGS

Row = dict[str, Any]

FIGURES = {
    "accuracy": 0.8,
    "valid_loss": 0.5,
    "train_loss": 0.4,
    "weights": 1000,
    "images_seen": 32_000,
}


def row(name: str = "mlp", seed: int = 0, measured: Mapping[str, Any] = {}, **settings: Any) -> Row:
    """Return a complete run as a table of values, with *measured* in place of ordinary ones."""
    experiment = Experiment(name=name, seed=seed, **settings)
    told = {"run": experiment.run_name, "seconds": 3.0, "status": "complete"}
    return {**experiment.model_dump(), **FIGURES, **told, **measured}


def rows(
    name: str, values: Sequence[float] | Mapping[int, float], metric: str = "accuracy", **told: Any
) -> list[Row]:
    """Return a row for each value of a metric, by seed or from seed 0."""
    by_seed = values if isinstance(values, Mapping) else dict(enumerate(values))
    return [row(name, seed, {metric: value}, **told) for seed, value in by_seed.items()]


def run_of(row: Row | StoredRun) -> StoredRun:
    """Return the run that a row describes."""
    if isinstance(row, StoredRun):
        return row
    metrics = {name: row[name] for name in METRICS if name in row}
    valid, train = metrics.get("valid_loss"), metrics.get("train_loss")
    if valid is not None and train is not None:
        metrics["overfitting_gap"] = valid - train
    settings = [name for name in row if name in SETTINGS or "." in name]
    others = row.keys() - METRICS.keys() - {*settings}
    return StoredRun(
        settings={name: row[name] for name in settings},
        metrics=metrics,
        **{name: row[name] for name in others},
    )


def study_of(
    rows: Iterable[Row | StoredRun], asked: Sequence[GridRecord] = (), **rest: Any
) -> Study:
    return to_study(Contents(list(map(run_of, rows)), **rest), asked)


def evidence_of(study: Study, effects: Sequence[Effect] | None = None) -> Evidence:
    """Return what a study shows, with other effects than its own if they are given."""
    evidence = weigh(study)
    return evidence if effects is None else replace(evidence, effects=effects)


def members(**settings_by_name: Mapping[str, Any]) -> list[ExperimentRuns]:
    """Return an experiment of one run for each name."""
    made = study_of(row(name, **settings) for name, settings in settings_by_name.items())
    return [made.experiments[name] for name in settings_by_name]
