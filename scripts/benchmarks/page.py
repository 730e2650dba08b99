"""The figures of a benchmark, and how docs/performance.md shows them."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import groupby
from math import sqrt
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

NOISE_LIMIT = 3.0  # standard errors
STORED = {
    "fmgrid": "a results file, flushed to disk, and an event file",
    "joblib": "nothing",
    "optuna": "rows in SQLite",
    "ray": "a folder of event, CSV and JSON files",
}


@dataclass
class Figures:
    """What was measured; in seconds, one entry for each repeat."""

    command: str  # that measured it
    repeats: int
    experiments: int
    is_whole: bool  # the whole study, for which the targets are meant
    study: dict[tuple[str, int], list[float]] = field(default_factory=dict)  # by tool, processes
    spans: dict[int, list[float]] = field(default_factory=dict)  # of the trainings, by workers
    differences: list[float] = field(default_factory=list)  # of losses: fmgrid's minus stock's
    training: dict[str, Any] = field(default_factory=dict)  # what benchmarks/training.py prints
    commands: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)  # MB at most, by command
    trials: dict[str, list[float]] = field(default_factory=dict)  # of each trial, by tool
    images: int = 0  # in an epoch of networks through autograd
    # What benchmarks/networks.py prints: by network and way.
    networks: dict[str, dict[str, float]] = field(default_factory=dict)


def render(figures: Figures) -> str:
    """Return all of the page that has figures in it."""
    blocks = [
        _session(figures),
        *([_targets(figures)] if figures.is_whole else []),
        _agreement(figures),
        *_study(figures),
        *_training(figures),
        *_commands(figures),
        *_trials(figures),
    ]
    return "\n\n".join(blocks) + "\n"


def render_networks(figures: Figures) -> str:
    """Return the part of the page about networks that go through autograd."""
    rows = [
        (
            name,
            f"{seconds['plain']:.1f}",
            f"{seconds['fmgrid']:.1f}",
            f"{seconds['plain'] / seconds['fmgrid']:.1f}",
            f"{seconds['steps'] / seconds['bare'] - 1:+.1%}",
        )
        for name, seconds in figures.networks.items()
    ]
    introduction = (
        f"CPU seconds of one core for an epoch of {figures.images:,} images in batches of 64, the "
        "10,000 test images scored at its end. The plain script is torchvision's data set, "
        "`DataLoader` and mltrainer's `Trainer` on the same network, in torch's own layout and "
        "float32. *Overhead* is how much longer fmgrid's steps take, batches included, than "
        "autograd's on a batch that is always the same, and less where an MLP takes its own by "
        "hand: `scripts/benchmarks/networks.py`."
    )
    header = ("", ">plain, s", ">fmgrid, s", ">times as fast", ">overhead")
    blocks = ["## Networks through autograd", _session(figures), introduction]
    return "\n\n".join([*blocks, _table(header, rows)]) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the columns whose header begins with > are aligned right."""
    marks = ["---:" if title.startswith(">") else "---" for title in header]
    lines = [[title.lstrip(">") for title in header], marks, *([*map(str, row)] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _session(figures: Figures) -> str:
    versions = [f"{name} {version(name)}" for name in ("fmgrid", "torch", "mltrainer")]
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    repeats = f", the medians of {figures.repeats} repeats" if figures.repeats > 1 else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"`{figures.command}` wrote these figures on {datetime.now(UTC):%d %B %Y}"
        f"{repeats}. {cpu[1] if cpu else platform.processor()}, "
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}."
    )


def _targets(figures: Figures) -> str:
    """Return what was to be reached, and what was."""
    study = {way: median(seconds) for way, seconds in figures.study.items()}
    commands = {name: median(seconds) for name, seconds in figures.commands.items()}
    cpu = _totals(figures)
    few, many, *_ = (name for name in commands if name.startswith("summarize"))
    fmgrid = study["fmgrid", 2]
    at_least = [
        ("the study, against the stock script in one process", study["stock", 1] / fmgrid, 13.0),
        ("the study, against two stock processes", study["stock", 2] / fmgrid, 6.5),
        ("two workers, against one", study["fmgrid", 1] / fmgrid, 1.8),
    ]
    at_most = [
        ("CPU time of training, times the bound", cpu["by_hand"] / cpu["bound"], 1.4),
        ("overhead of a run, s", median(figures.trials["fmgrid"]), 0.02),
        ("`fmgrid --help`, s", commands["--help"], 0.4),
        ("`fmgrid plan configs/`, s", commands["plan configs/"], 0.4),
        ("planning 10,000 runs, s", commands["plan a grid of 10,000 runs"], 2.0),
        (f"`fmgrid {few}`, s", commands[few], 1.0),
        (f"`fmgrid {many}`, s", commands[many], 15.0),
    ]
    rows = [
        (name, f"{value:.2f} times as fast", f"at least {limit:g}", _verdict(1 - value / limit))
        for name, value, limit in at_least
    ] + [
        (name, f"{value:.3g}", f"at most {limit:g}", _verdict(value / limit - 1))
        for name, value, limit in at_most
    ]
    return _table(("", ">measured", ">to reach", ""), rows)


def _verdict(excess: float) -> str:
    """Say whether a target was reached, or by which part of it that failed."""
    return "reached" if excess <= 0 else f"missed by {excess:.0%}"


def _agreement(figures: Figures) -> str:
    """Say whether fmgrid and the stock script found the same losses; refuse figures if not."""
    off = mean(figures.differences)
    error = stdev(figures.differences) / sqrt(len(figures.differences))
    if abs(off) > NOISE_LIMIT * error:
        raise SystemExit(f"losses differ from the stock script's by {off:.4f} +- {error:.4f}")
    return (
        "One worker and two gave the same bits in every run. fmgrid's last validation losses "
        f"differ from the stock script's, which draws other random numbers, by {off:+.4f} in the "
        f"mean of {len(figures.differences)} experiments; the standard error of that is "
        f"{error:.4f}."
    )


def _study(figures: Figures) -> list[str]:
    study = {way: median(seconds) for way, seconds in figures.study.items()}
    spans = {workers: median(seconds) for workers, seconds in figures.spans.items()}
    fastest = study["fmgrid", 2]
    names = {
        ("fmgrid", 2): "`fmgrid run`, two workers",
        ("fmgrid", 1): "`fmgrid run -j 1`",
        ("stock", 2): "stock script, two processes side by side",
        ("stock", 1): "stock script, one process",
    }
    rows = [
        (name, f"{study[way]:.1f}", f"{study[way] / fastest:.1f}") for way, name in names.items()
    ]
    introduction = (
        "Wall time of the command into an empty folder, start-up and writing included, with the "
        f"data set in the cache. fmgrid trains {len(figures.training['experiments'])} of the "
        f"{figures.experiments}; the others are part of another's training. The stock script, "
        "`scripts/benchmarks/stock.py`, is torchvision's data set, `DataLoader` and mltrainer's "
        "`Trainer`, with one thread for each process."
    )
    scaling = (
        "From the first training's start to the last one's end, two workers are "
        f"{spans[1] / spans[2]:.2f} times as fast as one. The {fastest - spans[2]:.1f} s around "
        "that, most of them the import of torch in the workers' server, are the same for both."
    )
    title = f"## The study: {figures.experiments} experiments"
    return [title, introduction, _table(("", ">s", ">times"), rows), scaling]


def _totals(figures: Figures) -> dict[str, float]:
    """Return the CPU seconds of all trainings together, by way."""
    measured = figures.training["experiments"]
    return {way: sum(e[way] for e in measured) for way in ("bound", "by_hand", "by_autograd")}


def _training(figures: Figures) -> list[str]:
    measured = figures.training["experiments"]

    def key(entry: dict[str, Any]) -> tuple[int, list[int], int, str]:
        units: list[int] = entry["hidden_units"]
        return len(units), units, entry["batch_size"], entry["optimizer"]

    rows = [_times("all", "", "", _totals(figures))]
    for (_, units, batch_size, optimizer), group in groupby(sorted(measured, key=key), key):
        entries = list(group)
        seconds = {way: mean(entry[way] for entry in entries) for way in _totals(figures)}
        rows.append(_times("/".join(map(str, units)) or "none", batch_size, optimizer, seconds))
    introduction = (
        f"One core, the scores after every epoch included, for each of the {len(measured)} "
        "trainings. The bound is the time of the matrix products alone: forwards, backwards and "
        "for the scores, with nothing between them. *By hand* is what fmgrid does, *by autograd* "
        "what it does for networks, losses and optimizers that it doesn't know, to the same bits; "
        "both as multiples of the bound."
    )
    header = ("hidden units", ">batch", "optimizer", ">bound, s", ">by hand", ">by autograd")
    blocks = ["## CPU time of the training work", introduction, _table(header, rows)]
    return blocks + _profiles(figures.training["profiles"])


def _times(
    units: str, batch_size: object, optimizer: str, seconds: dict[str, float]
) -> tuple[object, ...]:
    bound = seconds["bound"]
    ratios = (f"{seconds[way] / bound:.2f}" for way in ("by_hand", "by_autograd"))
    return units, batch_size, optimizer, f"{bound:.3f}", *ratios


def _profiles(profiles: Sequence[dict[str, Any]]) -> list[str]:
    if not profiles:
        return []
    rows = [
        (
            "/".join(map(str, found["hidden_units"])),
            found["batch_size"],
            f"{found['total']:.0f}",
            *(f"{microseconds:.0f}" for microseconds in found["parts"].values()),
        )
        for found in profiles
    ]
    header = ("hidden units", ">batch", ">step", *(f">{part}" for part in profiles[0]["parts"]))
    introduction = (
        "Where the time goes: microseconds of one training step with Adam. The operators' are "
        "torch's profiler's, which slows each of them down a little; what is left of the step "
        "as it is without the profiler counts as Python."
    )
    return [introduction, _table(header, rows)]


def _commands(figures: Figures) -> list[str]:
    rows = [
        (name, f"{median(seconds):.2f}", f"{figures.memory[name]:.0f}")
        for name, seconds in figures.commands.items()
    ]
    introduction = "Wall time of the process, and the most memory that it held."
    return ["## Commands", introduction, _table(("`fmgrid ...`", ">s", ">MB"), rows)]


def _trials(figures: Figures) -> list[str]:
    rows = [
        (f"{tool} {version(tool)}", f"{1e3 * median(seconds):.1f}", STORED[tool])
        for tool, seconds in figures.trials.items()
    ]
    introduction = (
        "Milliseconds for each trial that trains nothing, on two workers, without the tool's "
        "start: `scripts/benchmarks/trials.py`. Optuna's are its `GridSampler` in two processes "
        "on SQLite, Ray's a grid search of Ray Tune, two at a time."
    )
    return ["## Handing out and storing", introduction, _table(("", ">ms", "stores"), rows)]
