"""The loop of a command: ask the search, submit tasks, pass epochs on, save and yield runs."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing

from fmgrid.execution import Executor, Task
from fmgrid.experiment import Experiment, Run
from fmgrid.results.store import Store
from fmgrid.search import Search


def run_all(
    search: Search,
    store: Store,
    executor: Executor,
    to_task: Callable[[Experiment], Task],
    finished: Iterable[Run] = (),
) -> Iterator[Run]:
    """Train what the search asks for; yield each run as soon as it is stored.

    *finished* are runs that the log folder holds already. The search is told of them first, and
    the runs that share their results are stored without training.
    """

    def save(run: Run, log: bytes) -> Run:
        store.begin(run.experiment.run_name)
        store.save(run, log)
        return run

    def submit() -> None:
        while executor.has_room and (experiment := search.ask()) is not None:
            store.begin(experiment.run_name)
            executor.submit(to_task(experiment))

    for run in finished:
        for shared in search.tell(run):
            yield save(shared, store.read_log(run.experiment.run_name))
    submit()
    with closing(executor.events(search.report)) as events:  # type: ignore[type-var]
        for event in events:
            shared_runs = search.tell(event.run)
            try:
                submit()  # before the run is stored, so that no worker waits for that
            finally:
                store.save(event.run, event.log)
                yield event.run
                for shared in shared_runs:
                    yield save(shared, event.log)
