"""What a run will cost: an estimate in seconds of one core, for the order, the plan and the clock.

Only ratios matter where it is used to weigh runs against each other; as a duration it is
right within a factor of two on a laptop of the 2020s.
"""

from itertools import pairwise

from fmgrid.data import CLASSES, PIXELS
from fmgrid.records import Experiment

# Measured per optimizer step on one core of a 2023 server, for the study's 61 experiments:
STEP_SECONDS = 3.2e-4  # whatever the network: batch, autograd, optimizer call
LAYER_SECONDS = 6e-5  # per layer
SECONDS_PER_WEIGHT = 1.1e-9  # the optimizer's pass over the weights
SECONDS_PER_FLOP = 1.15e-11


def estimate_seconds(experiment: Experiment) -> float:
    """Return how long one core will train and score the experiment."""
    widths = (PIXELS, *experiment.hidden_units, len(CLASSES))
    weights = sum(inputs * outputs for inputs, outputs in pairwise(widths))
    # Two operations per weight and image forwards, and twice as many backwards.
    step_flops = 6 * weights * experiment.batch_size
    step = (
        STEP_SECONDS
        + LAYER_SECONDS * (experiment.depth + 1)
        + SECONDS_PER_WEIGHT * weights
        + SECONDS_PER_FLOP * step_flops
    )
    score = SECONDS_PER_FLOP * 2 * weights * experiment.valid_images
    return experiment.epochs * (experiment.steps_per_epoch * step + score)


def estimate_wall_seconds(costs: "list[float]", workers: int) -> float:
    """Return how long the workers take together, longest first; they start in two seconds."""
    if not costs:
        return 0.0
    return 2.0 + max(sum(costs) / workers, *costs, 0.0)
