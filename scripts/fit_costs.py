"""Fit the constants of fmgrid.training.costs to finished runs, and say how well they fit.

fmgrid run configs/ -j 1 --logdir modellogs-costs && python scripts/fit_costs.py modellogs-costs
"""

import argparse
from pathlib import Path

import numpy as np

from fmgrid.results.results_file import read_results
from fmgrid.results.store import find_folders
from fmgrid.training.costs import count_work

NAMES = ("LAYER_SECONDS", "SECONDS_PER_WEIGHT", "SECONDS_PER_FLOP")


def main() -> None:
    """Print the constants and the ratio of estimate and measurement."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("logdir", type=Path)
    runs = [read_results(path) for path in find_folders(parser.parse_args().logdir).results]
    complete = [run for run in runs if run.status == "complete" and run.trained_as is None]
    trained = [run for run in complete if count_work(run.experiment) is not None]
    seconds = np.array([run.seconds for run in trained])
    counts = np.array([count_work(run.experiment) for run in trained], dtype=float)
    # Relative errors are minimized: a short run should be estimated as well as a long one.
    constants, *_ = np.linalg.lstsq(counts / seconds[:, None], np.ones(len(trained)), rcond=None)
    for name, constant in zip(NAMES, constants, strict=True):
        print(f"{name} = {constant:.2g}")
    low, middle, high = np.percentile(counts @ constants / seconds, [5, 50, 95])
    print(f"{len(trained)} trainings: estimated / measured {middle:.2f}, 90 % of them from")
    print(f"{low:.2f} to {high:.2f}")


if __name__ == "__main__":
    main()
