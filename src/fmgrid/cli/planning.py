"""`fmgrid plan`: the trainings of `run`, their estimated time, and the refusals of `run`."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fmgrid.cli.options import GridOptions
from fmgrid.cli.output import print_json, say, warn
from fmgrid.cli.showing import flat_settings
from fmgrid.cli.tables import print_rows
from fmgrid.components.networks import work_of
from fmgrid.errors import InputError
from fmgrid.execution.refusals import find_refusals
from fmgrid.experiment import Experiment
from fmgrid.grid import Plan
from fmgrid.results.store import Store
from fmgrid.search import DEFAULT_POLICY, Agenda, AgendaItem, Policy, make_agenda
from fmgrid.training.costs import estimate_seconds, estimate_wall_seconds
from fmgrid.words import counted, format_seconds, show_ranges


def show_plan(options: GridOptions, policy: Policy = DEFAULT_POLICY) -> None:
    """Print each run with the settings that tell it from the others, its state and cost.

    Raises `InputError` at the end, with everything that run would refuse.
    """
    plan, store, workers = options.load(), Store(options.logdir), options.count_workers()
    warn_of_unanswerable(plan)
    agenda = make_agenda((definition.experiment for definition in plan.definitions), store, policy)
    refusals = find_refusals(plan.definitions, agenda, store)
    if options.json:
        is_timed = all(work_of(experiment) for experiment in agenda.trainings)
        seconds = _wall_seconds(agenda, workers) if is_timed else None
        estimate = {"estimated_seconds": seconds, "workers": workers}
        print_json({**_to_json(plan, agenda), **estimate, "refused": list(map(str, refusals))})
    else:
        _print_plan(agenda)
        number = counted(len(plan.hypotheses), "hypothesis", "hypotheses")
        hypotheses = f", {number}" if plan.hypotheses else ""
        for text in describe_samples(plan):
            say(text)
        say(f"{_describe_seeds(agenda)}{describe_work(agenda, workers)}{hypotheses}")
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
    untimed = sum(work_of(experiment) is None for experiment in agenda.trainings)
    if trained > untimed:
        busy = min(workers, trained)
        where = f"on {counted(busy, 'worker')}" if workers else "in one process"
        parts.append(f"about {format_seconds(_wall_seconds(agenda, workers))} {where}")
    if untimed:
        which = untimed if trained > untimed else "all"
        parts.append(f"{which} with a plugged-in network, timed before the first training")
    return ", ".join(parts)


def describe_samples(plan: Plan) -> list[str]:
    """Return how much of each sampled block is run: "a sample of 40 of 1,200 combinations"."""
    return [
        f"{sample.place}: a sample of {sample.chosen:,} of "
        f"{counted(sample.combinations, 'combination')}"
        for sample in plan.samples
    ]


def _describe_seeds(agenda: Agenda) -> str:
    """Return how many experiments there are if all of them have the same several seeds."""
    experiments = _by_name(agenda)
    seeds = {_show_seeds(items) for items in experiments.values()}
    if len(seeds) > 1 or seeds == {"0"}:
        return ""
    return f"{counted(len(experiments), 'experiment')} with seeds {seeds.pop()}: "


def _wall_seconds(agenda: Agenda, workers: int) -> float:
    costs = [estimate_seconds(experiment) for experiment in agenda.trainings]
    return estimate_wall_seconds(costs, max(1, min(workers, len(costs))))


def _seconds_or_none(experiment: Experiment) -> float | None:
    is_timed = work_of(experiment) is not None
    return round(estimate_seconds(experiment), 3) if is_timed else None


def warn_of_unanswerable(plan: Plan) -> None:
    """Say which hypotheses are left out because --set changes their experiments."""
    if plan.unanswerable:
        number = counted(len(plan.unanswerable), "hypothesis", "hypotheses")
        warn(f"{number} left out, because --set changes experiments: {plan.unanswerable[0]}")


def _to_json(plan: Plan, agenda: Agenda) -> dict[str, Any]:
    trained = set(map(id, agenda.trainings))
    runs = [
        {
            "run": item.experiment.run_name,
            "state": item.state,
            "note": item.note,
            "trained": id(item.experiment) in trained,
            "seconds": _seconds_or_none(item.experiment),
            "defined": str(definition.place),
            "settings": item.experiment.model_dump(),
        }
        for definition, item in zip(plan.definitions, agenda.items, strict=True)
    ]
    hypotheses = [
        hypothesis.model_dump(exclude={"resolved", "since"}) for hypothesis in plan.hypotheses
    ]
    samples = [
        {
            "defined": str(sample.place),
            "chosen": sample.chosen,
            "combinations": sample.combinations,
        }
        for sample in plan.samples
    ]
    totals = {"count": len(runs), "to_train": len(trained)}
    return {**totals, "runs": runs, "hypotheses": hypotheses, "samples": samples}


def _print_plan(agenda: Agenda) -> None:
    """Print a row for each experiment: the settings that differ, the state of its runs."""
    experiments = _by_name(agenda)
    settings = [
        {**flat_settings(items[0].experiment), "seed": _show_seeds(items)}
        for items in experiments.values()
    ]
    titles = dict.fromkeys(title for flat in settings for title in flat)
    differing = [title for title in titles if len({flat.get(title, "") for flat in settings}) > 1]
    if "content" in differing:  # which follows from the data set
        differing.remove("content")
    trained = {experiment.prefix_key: experiment for experiment in agenda.trainings}
    wanted = set(map(id, agenda.wanted))
    rows = [
        [
            name,
            *(flat.get(title, "") for title in differing),
            _describe_state(items, trained, wanted),
        ]
        for (name, items), flat in zip(experiments.items(), settings, strict=True)
    ]
    print_rows(("experiment", *differing, "state"), rows, list(experiments))


def _by_name(agenda: Agenda) -> dict[str, list[AgendaItem]]:
    """Return the items of each experiment, one for each seed."""
    experiments = defaultdict(list)
    for item in agenda.items:
        experiments[item.experiment.name].append(item)
    return experiments


def _show_seeds(items: Sequence[AgendaItem]) -> str:
    return show_ranges(item.experiment.seed for item in items)


def _describe_state(
    items: Sequence[AgendaItem], trained: Mapping[str, Experiment], wanted: Collection[int]
) -> str:
    """Return the state of an experiment's runs: "complete 2 of 3, 1.3 s", "with epochs_10"."""
    states = Counter(item.state for item in items)
    seconds = 0.0
    shares = []
    for experiment in (item.experiment for item in items if id(item.experiment) in wanted):
        leader = trained.get(experiment.prefix_key)
        if leader is experiment:
            seconds += estimate_seconds(experiment)
        else:
            shares.append(f"with {leader.name if leader else 'a finished run'}")
    if len(shares) == states["pending"] or len(states) > 1:
        del states["pending"]
    parts = [
        state if count == len(items) else f"{state} {count} of {len(items)}"
        for state, count in states.items()
    ]
    parts += [format_seconds(seconds)] if seconds else []
    return ", ".join([*parts, *dict.fromkeys(shares)])
