"""Grids whose runs are made up, through the real runner and store."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from fmgrid.execution import Finished, Report, Task
from fmgrid.execution.inline import Inline
from fmgrid.execution.runner import run_all
from fmgrid.experiment import Experiment, Run
from fmgrid.results.store import Store
from fmgrid.search import DEFAULT_POLICY, Agenda, GridSearch, Policy, make_agenda
from made_up_runs import make_run


class InTurn(Inline):
    """An executor that trains one after another, here and now, and makes a log of it."""

    def events(self, report: Report) -> Iterator[Finished]:
        for event in super().events(report):
            yield replace(event, log=f"training {event.run.experiment.run_name}".encode())


def run_agenda(
    agenda: Agenda,
    store: Store,
    train: "Callable[[Experiment], Run] | None" = None,
    executor: Inline | None = None,
) -> Iterator[Run]:
    """Do what is on the agenda, with runs that *train* makes up."""

    def to_task(experiment: Experiment) -> Task:
        return Task(experiment, lambda experiment, *_: (train or make_run)(experiment))

    search = GridSearch(agenda.wanted)
    return run_all(search, store, executor or InTurn(), to_task, agenda.sources)


def run_made_up(
    experiments: Iterable[Experiment],
    store: Store,
    train: "Callable[[Experiment], Run] | None" = None,
    policy: Policy = DEFAULT_POLICY,
) -> list[Run]:
    """Make up a run of each experiment that has none."""
    return list(run_agenda(make_agenda(experiments, store, policy), store, train))
