"""Where training happens: the contract of an executor, those that keep it, and the runner.

An executor knows neither torch nor the store. It is given tasks, and gives events back.
"""

from fmgrid.execution.tasks import Executor, Finished, Report, Started, Task, Train

__all__ = ["Executor", "Finished", "Report", "Started", "Task", "Train"]
