"""Which experiment comes next: the contract of a search. A grid is the search that knows all."""

from collections.abc import Sequence
from typing import Protocol

from fmgrid.experiment import EpochRecord, Experiment, Run


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
