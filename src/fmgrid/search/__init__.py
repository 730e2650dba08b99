"""The experiments to train, and the next of them.

plan, run and --dry-run call `make_agenda`. A run is finished when its results file exists. The same
command trains only what is missing. It shares runs that other grids have trained in this folder.
"""

from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from fmgrid.errors import DamagedFileError, NewerFormatError, StoreError
from fmgrid.experiment import EpochRecord, Experiment, Run, Status
from fmgrid.results.store import Store
from fmgrid.settings import changed_settings, describe_change
from fmgrid.training.costs import estimate_seconds

State: TypeAlias = Status | Literal["pending", "changed", "damaged", "newer", "blocked"]


class Search(Protocol):
    """Chooses experiments, and learns from their runs."""

    def ask(self) -> Experiment | None:
        """Return the next experiment to train, None if there is none before another run ends."""

    def report(self, experiment: Experiment, epoch: EpochRecord) -> bool:
        """Take note of an epoch of a running training; return whether it shall go on."""

    def tell(self, run: Run) -> Sequence[Run]:
        """Take note of a run; return the runs of other experiments that share its training.

        The run may be an earlier command's, of an experiment that this search never asked for.
        """


class GridSearch:
    """Asks for the fewest trainings that give every experiment a run, the costliest first.

    Experiments with the same prefix key are trained once, for the most epochs. If that training
    fails, the shorter ones are trained on their own.
    """

    def __init__(
        self,
        experiments: Iterable[Experiment],
        cost: Callable[[Experiment], float] = estimate_seconds,
    ) -> None:
        self._cost = cost
        self._waiting: dict[str, list[Experiment]] = defaultdict(list)  # for a run, by prefix key
        for experiment in experiments:
            self._waiting[experiment.prefix_key].append(experiment)
        self._queue: list[Experiment] | None = None  # the costliest last; made when it is needed

    @property
    def trainings(self) -> list[Experiment]:
        """The experiments to train, unless one fails that others share."""
        return list(map(_longest, self._waiting.values()))

    def ask(self) -> Experiment | None:
        """Return the costliest training; among equals, the first in the grid."""
        if self._queue is None:
            self._queue = sorted(self.trainings, key=self._cost, reverse=True)
            self._queue.reverse()
        return self._queue.pop() if self._queue else None

    def report(self, experiment: Experiment, epoch: EpochRecord) -> bool:
        """Let every training go on."""
        del experiment, epoch
        return True

    def tell(self, run: Run) -> list[Run]:
        """Return the runs of the other experiments that this one answers."""
        group = self._waiting.pop(run.experiment.prefix_key, [])
        answered = [experiment for experiment in group if run.answers(experiment)]
        if unanswered := [experiment for experiment in group if not run.answers(experiment)]:
            self._waiting[run.experiment.prefix_key] = unanswered
            if self._queue is not None:
                insort(self._queue, _longest(unanswered), key=self._cost)
        return [
            run.shared_with(experiment) for experiment in answered if experiment != run.experiment
        ]


def _longest(group: Iterable[Experiment]) -> Experiment:
    return max(group, key=lambda experiment: experiment.epochs)


@dataclass(frozen=True)
class AgendaItem:
    """The state of an experiment in a log folder, under its name."""

    experiment: Experiment
    state: State
    run: Run | None = None  # None where the state is pending, damaged, newer or blocked
    note: str = ""  # what has changed, what cannot be read, or what stands in the way
    changed: tuple[str, ...] = ()  # the settings that differ from those of the run


@dataclass(frozen=True)
class Policy:
    """Which finished runs are to be trained again."""

    set_aside: bool = False  # those with other settings or of a newer format, too
    retry_failed: bool = False  # those that failed, and nothing else

    def wants(self, item: AgendaItem) -> bool:
        """Return whether a run is to be trained, or to share another one's training."""
        if self.retry_failed:
            return item.state in ("failed", "timeout")
        return item.state == "pending" or self.sets_aside(item)

    def sets_aside(self, item: AgendaItem) -> bool:
        """Return whether a run's folder is moved out of the way, so that the run can be trained."""
        if self.retry_failed:
            return False
        return item.state == "damaged" or (self.set_aside and item.state in ("changed", "newer"))


DEFAULT_POLICY = Policy()


@dataclass(frozen=True)
class Agenda:
    """The state of experiments in a log folder, and the trainings that they need."""

    items: Sequence[AgendaItem]  # of all experiments, in order
    policy: Policy
    wanted: Sequence[Experiment]  # get a run
    trainings: Sequence[Experiment]  # those of them that are trained, unless one fails
    sources: Sequence[Run]  # finished runs that some of the others share

    @property
    def set_aside(self) -> list[AgendaItem]:
        """The runs that are moved out of the way first."""
        return [item for item in self.items if self.policy.sets_aside(item)]


def make_agenda(
    experiments: Iterable[Experiment], store: Store, policy: Policy = DEFAULT_POLICY
) -> Agenda:
    """Look the experiments up in a log folder, and choose the trainings under a policy.

    The other runs of the folder are read only if a training is left.
    """
    items = [_look_up(experiment, store) for experiment in experiments]
    wanted = [item.experiment for item in items if policy.wants(item)]
    search = GridSearch(wanted)
    complete = (item.run for item in items if item.run and item.state == "complete")
    sources = [run for run in complete if search.tell(run)]
    if search.trainings:
        names = {item.experiment.run_name for item in items}
        sources += [run for run in store.complete_runs(without=names) if search.tell(run)]
    return Agenda(items, policy, wanted, search.trainings, sources)


def _look_up(experiment: Experiment, store: Store) -> AgendaItem:
    try:
        run = store.read(experiment.run_name)
    except NewerFormatError as error:
        return AgendaItem(experiment, "newer", note=str(error))
    except DamagedFileError as error:
        return AgendaItem(experiment, "damaged", note=str(error))
    except StoreError as error:
        return AgendaItem(experiment, "blocked", note=str(error))
    if run is None:
        return AgendaItem(experiment, "pending")
    if run.experiment.fingerprint == experiment.fingerprint:
        run = run.model_copy(update={"experiment": experiment})  # whose data may have been moved
        return AgendaItem(experiment, run.status, run)
    note = describe_change(run.experiment, experiment)
    return AgendaItem(
        experiment, "changed", run, note, changed_settings(run.experiment, experiment)
    )
