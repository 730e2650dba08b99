"""The cost of a run: an estimate in seconds of one core, for the order, the plan and the clock.

Only ratios matter where it weighs runs against each other. As a duration it holds for the kind
of machine that its constants were fitted on, and roughly for others.
"""

from fmgrid.components.datasets import workload_of
from fmgrid.components.networks import work_of
from fmgrid.experiment import Experiment

# Fitted by scripts/fit_costs.py to the study's 61 experiments, on one core of two (AVX-512, 2023):
# nine in ten estimates were between 0.85 and 1.15 of the measured seconds.
LAYER_SECONDS = 7.1e-5  # of a step, per layer: the calls, and a layer's share of loss and batch
SECONDS_PER_WEIGHT = 9.2e-10  # of a step: the optimizer's pass over the weights
SECONDS_PER_FLOP = 4.7e-12
START_SECONDS = 2.0  # until the workers have imported torch


def estimate_seconds(experiment: Experiment) -> float:
    """Return how long one core will train and score the experiment."""
    layers, weights, flops = count_work(experiment)
    return LAYER_SECONDS * layers + SECONDS_PER_WEIGHT * weights + SECONDS_PER_FLOP * flops


def count_work(experiment: Experiment) -> tuple[int, int, int]:
    """Return how often each of the three constants is paid."""
    network, workload = work_of(experiment), workload_of(experiment)
    steps = experiment.epochs * workload.steps_per_epoch
    # Going backwards takes twice as many operations as going forwards.
    train_flops = 3 * network.flops * experiment.batch_size * steps
    score_flops = network.flops * workload.valid_images * experiment.epochs
    return steps * network.layers, steps * network.weights, train_flops + score_flops


def estimate_wall_seconds(costs: "list[float]", workers: int) -> float:
    """Return how long the workers take together, longest first, with their start."""
    if not costs:
        return 0.0
    return START_SECONDS + max(sum(costs) / workers, *costs)
