"""What a run will cost: an estimate in seconds of one core, for the order, the plan and the clock.

Only ratios matter where it weighs runs against each other. As a duration it holds for the kind
of machine that its constants were fitted on, and elsewhere as far as that is alike.
"""

from itertools import pairwise

from fmgrid.data import CLASSES, PIXELS
from fmgrid.experiment import Experiment

# Fitted by scripts/fit_costs.py to the study's 61 experiments, on one core of two (AVX-512, 2023):
# nine in ten estimates were between 0.85 and 1.15 of what was measured.
LAYER_SECONDS = 7.1e-5  # of a step, per layer: the calls, and a layer's share of loss and batch
SECONDS_PER_WEIGHT = 9.2e-10  # of a step: the optimizer's pass over the weights
SECONDS_PER_FLOP = 4.7e-12
START_SECONDS = 2.0  # until the workers have imported torch


def estimate_seconds(experiment: Experiment) -> float:
    """Return how long one core will train and score the experiment."""
    widths = (PIXELS, *experiment.hidden_units, len(CLASSES))
    weights = sum(inputs * outputs for inputs, outputs in pairwise(widths))
    # Two operations per weight and image forwards, and twice as many backwards.
    step_flops = 6 * weights * experiment.batch_size
    step = (
        LAYER_SECONDS * (experiment.depth + 1)
        + SECONDS_PER_WEIGHT * weights
        + SECONDS_PER_FLOP * step_flops
    )
    score = SECONDS_PER_FLOP * 2 * weights * experiment.valid_images
    return experiment.epochs * (experiment.steps_per_epoch * step + score)


def estimate_wall_seconds(costs: "list[float]", workers: int) -> float:
    """Return how long the workers take together, longest first, with their start."""
    if not costs:
        return 0.0
    return START_SECONDS + max(sum(costs) / workers, *costs)
