"""What it costs to hand out a trial and to keep its result, where the trial itself is empty.

Prints the seconds that the trials took together on two workers, without the tool's start.

    python scripts/benchmarks/trials.py fmgrid|joblib|optuna|ray TRIALS
"""

import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

from fmgrid.experiment import EpochRecord, Experiment, Run

WORKERS = 2


def main() -> None:
    """Run the trials with the tool that is named."""
    tools = {"fmgrid": fmgrid, "joblib": joblib, "optuna": optuna, "ray": ray}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        print(tools[sys.argv[1]](int(sys.argv[2])))


def empty_run(experiment: Experiment, *_: object) -> Run:
    """Return a run in which nothing was trained."""
    history = tuple(
        EpochRecord(
            epoch=epoch,
            train_loss=1 / epoch,
            valid_loss=1 / epoch,
            accuracy=0.5,
            learning_rate=1e-3,
            images_seen=6400 * epoch,
            seconds=float(epoch),
        )
        for epoch in range(1, experiment.epochs + 1)
    )
    return Run(
        experiment=experiment,
        status="complete",
        history=history,
        started=datetime.now(UTC),
        seconds=1.0,
    )


def fmgrid(trials: int) -> float:
    """Workers, event files and results files as in `fmgrid run`; the store is on disk."""
    from trials import empty_run as train  # workers do not know a function of a script itself

    from fmgrid.execution import Task
    from fmgrid.execution.processes import Processes
    from fmgrid.execution.runner import run_all
    from fmgrid.results.store import Store
    from fmgrid.search import GridSearch

    experiments = [Experiment(name="empty", seed=seed) for seed in range(trials)]
    store = Store(Path("modellogs"))
    with Processes(WORKERS) as processes:
        processes.call(os.getpid)  # the server has started
        start = time.perf_counter()
        search = GridSearch(experiments)
        done = list(run_all(search, store, processes, lambda one: Task(one, train)))
        seconds = time.perf_counter() - start
    if len(done) != trials:
        raise SystemExit(f"{len(done)} of {trials} done")
    return seconds


def objective(number: int) -> float:
    """Train nothing."""
    return 1 / (1 + number)


def joblib(trials: int) -> float:
    """Worker processes that return a value; nothing is stored."""
    from joblib import Parallel, delayed

    with Parallel(n_jobs=WORKERS) as parallel:
        parallel(delayed(time.sleep)(1) for _ in range(WORKERS))  # until all have started
        start = time.perf_counter()
        parallel(delayed(objective)(number) for number in range(trials))
        return time.perf_counter() - start


def optuna(trials: int) -> float:
    """Two processes that share a study in SQLite, as Optuna's guide to distributed runs has it."""
    import multiprocessing

    from optuna import create_study

    create_study(storage="sqlite:///study.db", study_name="empty")
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(WORKERS + 1)
    workers = [context.Process(target=_optimize, args=(trials, ready)) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    ready.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    return time.perf_counter() - start


def _optimize(trials: int, ready: Barrier) -> None:
    from optuna import Trial, load_study, logging
    from optuna.samplers import GridSampler

    def suggested(trial: Trial) -> float:
        return objective(trial.suggest_int("number", 0, trials - 1))

    logging.set_verbosity(logging.ERROR)
    sampler = GridSampler({"number": range(trials)}, seed=0)
    study = load_study(study_name="empty", storage="sqlite:///study.db", sampler=sampler)
    ready.wait()
    study.optimize(suggested)  # which ends by itself when the grid is exhausted


def ray(trials: int) -> float:
    """Ray Tune's function trials, two at a time."""
    import ray as library
    from ray import tune

    library.init(num_cpus=WORKERS, include_dashboard=False, logging_level="ERROR")
    tuner = tune.Tuner(
        lambda config: {"loss": objective(config["number"])},
        param_space={"number": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(max_concurrent_trials=WORKERS),
        run_config=tune.RunConfig(storage_path=str(Path.cwd()), verbose=0),
    )
    start = time.perf_counter()
    results = tuner.fit()
    seconds = time.perf_counter() - start
    if len(results) != trials or results.num_errors:
        raise SystemExit(f"{len(results)} of {trials} done, {results.num_errors} errors")
    return seconds


if __name__ == "__main__":
    main()
