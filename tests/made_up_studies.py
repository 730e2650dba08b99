"""Studies that were never trained, put in order as those that were: rows, then `to_study`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fmgrid.analysis.study import Repeated, Study, to_study
from fmgrid.experiment import Experiment
from fmgrid.hypotheses.records import Asked
from fmgrid.results.summary import Summary

Row = dict[str, Any]


def row(name: str = "mlp", seed: int = 0, measured: Mapping[str, Any] = {}, **settings: Any) -> Row:
    """Return the row of a complete run, with *measured* in place of ordinary figures."""
    experiment = Experiment(name=name, seed=seed, **settings)
    first, second, *_ = (*experiment.hidden_units, None, None)
    return {
        **experiment.model_dump(),
        "hidden_units": " ".join(map(str, experiment.hidden_units)),
        "units1": first,
        "units2": second,
        "depth": len(experiment.hidden_units),
        "optimizer_args": json.dumps(experiment.optimizer_args, sort_keys=True),
        "accuracy": 0.8,
        "valid_loss": 0.5,
        "train_loss": 0.4,
        "weights": 1000,
        "images_seen": 32_000,
        "seconds": 3.0,
        "status": "complete",
        "run": experiment.run_name,
        "trained_as": None,
        "error": None,
        **measured,
    }


def rows(
    name: str, values: Sequence[float] | Mapping[int, float], metric: str = "accuracy", **told: Any
) -> list[Row]:
    """Return a row for each value of a metric, by seed or from seed 0."""
    by_seed = values if isinstance(values, Mapping) else dict(enumerate(values))
    return [row(name, seed, {metric: value}, **told) for seed, value in by_seed.items()]


def study_of(rows: Iterable[Row], asked: Sequence[Asked] = (), **rest: Any) -> Study:
    return to_study(Summary(list(rows), **rest), asked)


def members(**settings_by_name: Mapping[str, Any]) -> list[Repeated]:
    """Return an experiment of one run for each name."""
    made = study_of(row(name, **settings) for name, settings in settings_by_name.items())
    return [made.experiments[name] for name in settings_by_name]
