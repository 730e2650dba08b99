"""`fmgrid plan`: the trainings of `run`, their estimated time, and the refusals of `run`."""

from typing import Any

from fmgrid.cli.options import GridOptions
from fmgrid.cli.output import print_json, say, warn
from fmgrid.cli.showing import flat_settings
from fmgrid.cli.tables import print_rows
from fmgrid.errors import InputError
from fmgrid.execution.refusals import find_refusals
from fmgrid.grid import Plan
from fmgrid.results.store import Store
from fmgrid.search import DEFAULT_POLICY, Agenda, Policy, make_agenda
from fmgrid.training.costs import estimate_seconds, estimate_wall_seconds
from fmgrid.words import counted, format_seconds


def show_plan(options: GridOptions, policy: Policy = DEFAULT_POLICY) -> None:
    """Print each run with the settings that tell it from the others, its state and cost.

    Raises `InputError` at the end, with everything that run would refuse.
    """
    plan, store, workers = options.load(), Store(options.logdir), options.count_workers()
    warn_of_unanswerable(plan)
    agenda = make_agenda((definition.experiment for definition in plan.definitions), store, policy)
    refusals = find_refusals(plan.definitions, agenda, store)
    if options.json:
        estimate = {"estimated_seconds": _wall_seconds(agenda, workers), "workers": workers}
        print_json({**_to_json(plan, agenda), **estimate, "refused": list(map(str, refusals))})
    else:
        _print_plan(agenda)
        number = counted(len(plan.hypotheses), "hypothesis", "hypotheses")
        hypotheses = f", {number}" if plan.hypotheses else ""
        say(f"{describe_work(agenda, workers)}{hypotheses}")
        if refusals:
            say("fmgrid run would refuse this, and train nothing:")
    if refusals:
        raise InputError(refusals)


def describe_work(agenda: Agenda, workers: int) -> str:
    """Return how many runs there are, how many are trained, and how long that takes."""
    trained = len(agenda.trainings)
    parts = [f"{counted(len(agenda.items), 'run')}, {trained} to train"]
    if shared := len(agenda.wanted) - trained:
        parts.append(f"{shared} part of another's training")
    if trained:
        where = f"on {counted(workers, 'worker')}" if workers else "in one process"
        parts.append(f"about {format_seconds(_wall_seconds(agenda, workers))} {where}")
    return ", ".join(parts)


def _wall_seconds(agenda: Agenda, workers: int) -> float:
    costs = [estimate_seconds(experiment) for experiment in agenda.trainings]
    return estimate_wall_seconds(costs, max(1, min(workers, len(costs))))


def warn_of_unanswerable(plan: Plan) -> None:
    """Say which hypotheses are left out because --set changes their experiments."""
    if plan.unanswerable:
        number = counted(len(plan.unanswerable), "hypothesis", "hypotheses")
        reason = "because --set takes away what they are about"
        warn(f"{number} left out, {reason}: {plan.unanswerable[0]}")


def _to_json(plan: Plan, agenda: Agenda) -> dict[str, Any]:
    trained = set(map(id, agenda.trainings))
    runs = [
        {
            "run": item.experiment.run_name,
            "state": item.state,
            "note": item.note,
            "trained": id(item.experiment) in trained,
            "seconds": round(estimate_seconds(item.experiment), 3),
            "defined": str(definition.place),
            "settings": item.experiment.model_dump(),
        }
        for definition, item in zip(plan.definitions, agenda.items, strict=True)
    ]
    hypotheses = [
        hypothesis.model_dump(exclude={"resolved", "since"}) for hypothesis in plan.hypotheses
    ]
    totals = {"count": len(runs), "to_train": len(trained)}
    return {**totals, "runs": runs, "hypotheses": hypotheses}


def _print_plan(agenda: Agenda) -> None:
    leaders = {experiment.prefix_key: experiment.run_name for experiment in agenda.trainings}
    costs = {
        experiment.run_name: f"with {leaders.get(experiment.prefix_key, 'a finished run')}"
        for experiment in agenda.wanted
    }
    costs |= {
        experiment.run_name: f"{estimate_seconds(experiment):.1f}"
        for experiment in agenda.trainings
    }
    settings = [flat_settings(item.experiment) for item in agenda.items]
    names = dict.fromkeys(name for flat in settings for name in flat)
    differing = [name for name in names if len({flat.get(name, "") for flat in settings}) > 1]
    rows = []
    for item, flat in zip(agenda.items, settings, strict=True):
        name = item.experiment.run_name
        values = (flat.get(setting, "") for setting in differing)
        rows.append([name, *values, item.state, costs.get(name, "")])
    print_rows(("run", *differing, "state", "seconds"), rows, [row[0] for row in rows])
