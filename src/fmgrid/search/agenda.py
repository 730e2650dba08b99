"""The one place that decides what is to be trained; plan, run and --dry-run ask it.

A results file is what makes a run finished, under whatever name: the same command again trains
exactly what is missing, and what another grid has trained in this log folder is shared.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fmgrid.errors import DamagedFileError, NewerFormatError, StoreError
from fmgrid.experiment import Experiment, Run, Status
from fmgrid.results.store import Store
from fmgrid.search import GridSearch
from fmgrid.settings import changed_settings, describe_change

State: TypeAlias = Status | Literal["pending", "changed", "damaged", "newer", "blocked"]


@dataclass(frozen=True)
class Surveyed:
    """What a log folder holds under the name of an experiment."""

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

    def wants(self, item: Surveyed) -> bool:
        """Return whether a run is to be trained, or to share another one's training."""
        if self.retry_failed:
            return item.state in ("failed", "timeout")
        return item.state == "pending" or self.sets_aside(item)

    def sets_aside(self, item: Surveyed) -> bool:
        """Return whether a run's folder is moved out of the way, so that the run can be trained."""
        if self.retry_failed:
            return False
        return item.state == "damaged" or (self.set_aside and item.state in ("changed", "newer"))


AS_EVER = Policy()


@dataclass(frozen=True)
class Agenda:
    """What is there of some experiments, and what is to be done."""

    items: Sequence[Surveyed]  # of all experiments, in order
    policy: Policy
    wanted: Sequence[Experiment]  # get a run
    trainings: Sequence[Experiment]  # those of them that are trained, unless one fails
    sources: Sequence[Run]  # finished runs that some of the others share

    @property
    def set_aside(self) -> list[Surveyed]:
        """What is moved out of the way first."""
        return [item for item in self.items if self.policy.sets_aside(item)]


def make_agenda(
    experiments: Iterable[Experiment], store: Store, policy: Policy = AS_EVER
) -> Agenda:
    """Look the experiments up in a log folder, and decide what is to be done."""
    return decide([_look_up(experiment, store) for experiment in experiments], store, policy)


def decide(items: Sequence[Surveyed], store: Store, policy: Policy) -> Agenda:
    """Decide what is to be done under a policy.

    The other runs of the folder are looked at only where a training is left.
    """
    wanted = [item.experiment for item in items if policy.wants(item)]
    search = GridSearch(wanted)
    complete = (item.run for item in items if item.run and item.state == "complete")
    sources = [run for run in complete if search.tell(run)]
    if search.trainings:
        names = {item.experiment.run_name for item in items}
        others = store.complete_runs(search.awaits, without=names)
        sources += [run for run in others if search.tell(run)]
    return Agenda(items, policy, wanted, search.trainings, sources)


def _look_up(experiment: Experiment, store: Store) -> Surveyed:
    try:
        run = store.read(experiment.run_name)
    except NewerFormatError as error:
        return Surveyed(experiment, "newer", note=str(error))
    except DamagedFileError as error:
        return Surveyed(experiment, "damaged", note=str(error))
    except StoreError as error:
        return Surveyed(experiment, "blocked", note=str(error))
    if run is None:
        return Surveyed(experiment, "pending")
    if run.experiment.fingerprint == experiment.fingerprint:
        return Surveyed(experiment, run.status, run)
    note = describe_change(run.experiment, experiment)
    return Surveyed(experiment, "changed", run, note, changed_settings(run.experiment, experiment))
