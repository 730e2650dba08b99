"""Where training happens. An executor takes tasks and yields their runs, as each ends.

It knows neither torch nor the store: it is handed a function that turns an experiment into
its run. A task that its process doesn't survive still yields a run, a failed one.
"""

from fmgrid.execution.tasks import Executor, Task, Train

__all__ = ["Executor", "Task", "Train"]
