"""Measure fmgrid beside what it is measured against, and write docs/performance.md.

    python scripts/bench.py                # 40 minutes; needs pip install -e '.[bench]'
    python scripts/bench.py --repeats 1    # a third of that
    python scripts/bench.py --quick        # three minutes, a few experiments, printed only
    python scripts/bench.py --networks     # ten minutes, only networks that go through autograd

Whatever else the machine does meanwhile is measured too: leave it alone.

Everything that is compared runs alternately in one session, since a machine's speed drifts;
figures are medians of the repeats. What isn't between the two marks in the page is written by
hand. The parts can be run by themselves: scripts/benchmarks/.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.page import Figures, render, render_networks
from benchmarks.trials import empty_run
from fmgrid.experiment import Experiment, Run
from fmgrid.grid import load_plan
from fmgrid.results.results_file import read_results, to_results
from marks import ROOT, write_marked

PARTS = ROOT / "scripts" / "benchmarks"
PAGE = ROOT / "docs" / "performance.md"
TOOLS = {"fmgrid": "", "joblib": "joblib", "optuna": "optuna", "ray": "ray"}


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    grids: tuple[str, ...]
    repeats: int
    trials: int
    slow_trials: int  # of Ray, a second each
    stored: int  # runs that are summarized
    images: int  # in an epoch of networks that go through autograd


FULL = Scale(("configs",), repeats=3, trials=200, slow_trials=200, stored=10_000, images=60_000)
QUICK = Scale(("configs/optimizer.toml", "configs/depth.toml"), 1, 200, 10, 1_000, 640)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="three minutes; prints the page")
    parser.add_argument("--repeats", type=int, default=FULL.repeats, help="of what is compared")
    parser.add_argument("--networks", action="store_true", help="only those through autograd")
    options = parser.parse_args()
    scale = QUICK if options.quick else replace(FULL, repeats=options.repeats)
    experiments = [
        definition.experiment
        for definition in load_plan([ROOT / grid for grid in scale.grids]).definitions
    ]
    command = "python scripts/bench.py" + " --quick" * options.quick
    command += " --networks" * options.networks
    if not options.quick and scale != FULL:
        command += f" --repeats {scale.repeats}"
    figures = Figures(command, scale.repeats, len(experiments), not options.quick)
    with tempfile.TemporaryDirectory(prefix="fmgrid-bench-") as name:
        scratch = Path(name)
        measure_networks(scale, scratch, figures)
        if not options.networks:
            measure_study(experiments, scale, scratch, figures)
            measure_training(experiments, scale, figures)
            measure_commands(scale, scratch, figures)
            measure_trials(scale, figures)
    written = {"bench.py --networks": render_networks(figures)}
    if not options.networks:
        written = {"bench.py": render(figures), **written}
    for script, text in written.items():
        if options.quick:
            print(text)
        else:
            write_marked(PAGE, script, text)


def say(text: str) -> None:
    """Tell whoever waits where this is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def timed(command: Sequence[str | Path], folder: Path = ROOT) -> tuple[float, float]:
    """Run a command in a folder; return its wall seconds and the most MB that it held."""
    seconds, megabytes, code = json.loads(part("timed", *command, folder=folder))
    if code:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {code}")
    return seconds, megabytes


def fmgrid(*words: str | Path) -> list[str | Path]:
    """Return the command line of an fmgrid command."""
    return [Path(sys.executable).with_name("fmgrid"), *words]


def part(name: str, *words: str | Path, given: str = "", folder: Path = ROOT) -> str:
    """Run one of the parts on what is *given*; return its stdout."""
    command = [sys.executable, PARTS / f"{name}.py", *words]
    return subprocess.run(
        command,
        cwd=folder,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    ).stdout


def measure_networks(scale: Scale, scratch: Path, figures: Figures) -> None:
    """Take CPU seconds of an epoch of networks that go through autograd."""
    say("networks through autograd, beside a plain script and the bare steps")
    data = scratch / "data"
    part("torchvision_data", data)
    figures.images = scale.images
    figures.networks = json.loads(part("networks", str(scale.repeats), str(scale.images), data))


def measure_study(
    experiments: Sequence[Experiment], scale: Scale, scratch: Path, figures: Figures
) -> None:
    """Run the grids with fmgrid and with the stock script, in turn."""
    data = scratch / "data"
    grids = [str(ROOT / grid) for grid in scale.grids]
    losses: dict[str, list[float]] = {}
    for repeat in range(scale.repeats):
        logdirs = {}
        for workers in (2, 1):
            say(f"study {repeat + 1}/{scale.repeats}: fmgrid, {workers} at a time")
            logdirs[workers] = scratch / f"modellogs-{repeat}-{workers}"
            command = fmgrid("run", *grids, "-j", str(workers), "--logdir", logdirs[workers])
            keep(figures.study, ("fmgrid", workers), timed(command)[0])
        runs = {workers: read_runs(folder) for workers, folder in logdirs.items()}
        for workers, of_workers in runs.items():
            keep(figures.spans, workers, span(of_workers))
        check_equal(runs[1], runs[2])
        for processes in (1, 2):
            say(f"study {repeat + 1}/{scale.repeats}: stock, {processes} at a time")
            seconds, found = stock(experiments, processes, data)
            keep(figures.study, ("stock", processes), seconds)
            for name, loss in found.items():
                keep(losses, name, loss)
        ours = {run.experiment.name: run.history[-1].valid_loss for run in runs[2]}
    figures.differences = [ours[name] - mean(theirs) for name, theirs in losses.items()]


def keep(lists: dict[Any, list[float]], key: Any, value: float) -> None:
    """Append to one of the lists."""
    lists.setdefault(key, []).append(value)


def stock(
    experiments: Sequence[Experiment], processes: int, data: Path
) -> tuple[float, dict[str, float]]:
    """Return the wall seconds of so many stock processes side by side, and their losses."""
    shares = [
        json.dumps([experiment.model_dump() for experiment in experiments[first::processes]])
        for first in range(processes)
    ]
    start = time.perf_counter()
    with ThreadPoolExecutor(processes) as pool:
        outputs = list(pool.map(lambda share: part("stock", data, given=share), shares))
    seconds = time.perf_counter() - start
    return seconds, {name: loss for text in outputs for name, loss in json.loads(text).items()}


def read_runs(logdir: Path) -> list[Run]:
    """Return the runs of a log folder, by name."""
    return [read_results(path) for path in sorted(logdir.glob("*/*_results.toml"))]


def span(runs: Iterable[Run]) -> float:
    """Return the seconds from the first training's start to the last one's end."""
    trained = [run for run in runs if run.trained_as is None]
    last = max(run.started + timedelta(seconds=run.seconds) for run in trained)
    return (last - min(run.started for run in trained)).total_seconds()


def check_equal(ours: Sequence[Run], theirs: Sequence[Run]) -> None:
    """Refuse to go on if two log folders differ in any bit of any figure."""
    for one, other in zip(ours, theirs, strict=True):
        if figures_of(one) != figures_of(other):
            raise SystemExit(f"{one.experiment.name}: other bits with another number of workers")


def figures_of(run: Run) -> list[dict[str, float]]:
    """Return what must be the same whoever trained it, when and where."""
    return [record.model_dump(exclude={"seconds"}) for record in run.history]


def measure_training(experiments: Sequence[Experiment], scale: Scale, figures: Figures) -> None:
    """Take CPU seconds of everything that is trained, and of its matrix products."""
    say("training: fmgrid's CPU time and its bound")
    longest: dict[str, Experiment] = {}
    for experiment in experiments:
        known = longest.get(experiment.prefix_key)
        if known is None or known.epochs < experiment.epochs:
            longest[experiment.prefix_key] = experiment
    lines = "".join(experiment.model_dump_json() + "\n" for experiment in longest.values())
    figures.training = json.loads(part("training", str(scale.repeats), given=lines))


def measure_commands(scale: Scale, scratch: Path, figures: Figures) -> None:
    """Time the commands that a person waits for."""
    say("commands")
    finished = scratch / "modellogs-0-2"
    big = scratch / "big.toml"
    big.write_text(
        "[grid]\n"
        f"epochs = {list(range(1, 11))}\nbatch_size = {list(range(10, 20))}\n"
        f"hidden_units = {[[width] for width in range(10, 20)]}\n"
        f"learning_rate = {[rate / 1000 for rate in range(1, 11)]}\n"
    )
    table = scratch / "summary.csv"
    sizes = ((scale.stored, 10), (scale.stored // 10, 10), (scale.stored // 10, 100))
    stores = {
        f"summarize {count:,} runs of {epochs} epochs": store_runs(scratch, count, epochs)
        for count, epochs in sizes
    }
    commands = {
        "--help": fmgrid("--help"),
        "plan configs/": fmgrid("plan", ROOT / "configs"),
        "plan a grid of 10,000 runs": fmgrid("plan", big, "--json"),
        f"summarize {len(read_runs(finished))} runs": fmgrid("summarize", finished, "-o", table),
        **{name: fmgrid("summarize", store, "-o", table) for name, store in stores.items()},
    }
    for name, command in commands.items():
        slow = name in stores
        for _ in range(scale.repeats if slow else 5 * scale.repeats):
            seconds, megabytes = timed(command, scratch)
            keep(figures.commands, name, seconds)
            figures.memory[name] = megabytes


def store_runs(scratch: Path, count: int, epochs: int) -> Path:
    """Write the results of runs that were never trained, as fmgrid writes them."""
    root = scratch / f"stored-{count}-{epochs}"
    for seed in range(count):
        stored = empty_run(Experiment(name="stored", epochs=epochs, seed=seed))
        name = stored.experiment.run_name
        (root / name).mkdir(parents=True)
        (root / name / f"{name}_results.toml").write_bytes(to_results(stored))
    return root


def measure_trials(scale: Scale, figures: Figures) -> None:
    """Time the tools on trials that do nothing."""
    for tool, package in TOOLS.items():
        if package and find_spec(package) is None:
            say(f"empty trials: {package} is not installed; pip install -e '.[bench]'")
            continue
        trials = scale.slow_trials if tool == "ray" else scale.trials
        for _ in range(1 if tool == "ray" else scale.repeats):
            say(f"empty trials: {trials} with {tool}")
            seconds = float(part("trials", tool, str(trials)).splitlines()[-1])
            keep(figures.trials, tool, seconds / trials)


if __name__ == "__main__":
    main()
