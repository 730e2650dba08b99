"""Which experiment comes next: the contract of a search. A grid is the search that knows all."""

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

from fmgrid.experiment import EpochRecord, Experiment, Run
from fmgrid.training.costs import estimate_seconds


class Search(Protocol):
    """Chooses experiments, and learns from their runs."""

    def ask(self) -> Experiment | None:
        """Return the next experiment to train, None if there is none before another run ends."""

    def report(self, experiment: Experiment, epoch: EpochRecord) -> bool:
        """Take note of an epoch of a running training; return whether it shall go on."""

    def tell(self, run: Run) -> Sequence[Run]:
        """Take note of a run; return the runs of other experiments that share its training.

        It may be one of an earlier command, of an experiment that was never asked for.
        """


class GridSearch:
    """Asks for the trainings that give every experiment a run, and for no more.

    The costliest comes first. Experiments that differ in nothing but their names and, where that
    can be, their epochs are trained once, for the most epochs. If that fails, the shorter ones are
    trained for themselves.
    """

    def __init__(self, experiments: Iterable[Experiment]) -> None:
        self._waiting: dict[str, list[Experiment]] = defaultdict(list)  # for a run, by prefix key
        for experiment in experiments:
            self._waiting[experiment.prefix_key].append(experiment)
        self._queue: list[Experiment] | None = None  # the costliest last; made when it is needed

    @property
    def trainings(self) -> list[Experiment]:
        """The experiments to train, unless one fails that others share."""
        return list(map(_longest, self._waiting.values()))

    def awaits(self, prefix_key: str) -> bool:
        """Return whether an experiment with this prefix key has no run yet."""
        return prefix_key in self._waiting

    def ask(self) -> Experiment | None:
        """Return the costliest training; among equals, the first in the grid."""
        if self._queue is None:
            self._queue = sorted(self.trainings, key=estimate_seconds, reverse=True)
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
        if rest := [experiment for experiment in group if not run.answers(experiment)]:
            self._waiting[run.experiment.prefix_key] = rest
            if self._queue is not None:
                insort(self._queue, _longest(rest), key=estimate_seconds)
        return [run.shared_with(other) for other in answered if other != run.experiment]


def _longest(group: Iterable[Experiment]) -> Experiment:
    return max(group, key=lambda experiment: experiment.epochs)
