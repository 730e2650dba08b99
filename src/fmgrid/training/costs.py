"""The cost of a run in seconds of one core: an estimate for the order, the plan and the clock.

The order needs ratios only. As a duration the estimate holds for the kind of machine on which its
constants were fitted, and roughly for others.
"""

from collections.abc import Mapping
from types import MappingProxyType

from fmgrid.components import key_of
from fmgrid.components.datasets import workload_of
from fmgrid.components.networks import work_of
from fmgrid.experiment import Experiment

# Fitted by scripts/fit_costs.py to the study's 61 experiments, on one core of two (AVX-512, 2023):
# nine in ten estimates were between 0.85 and 1.15 of the measured seconds.
LAYER_SECONDS = 7.1e-5  # of a step, per layer: the calls, and a layer's share of loss and batch
SECONDS_PER_WEIGHT = 9.2e-10  # of a step: the optimizer's pass over the weights
SECONDS_PER_FLOP = 4.7e-12
# Bytes: measured with torch 2.14, the small networks of the study and all of Fashion-MNIST.
_MEMORY = 350_000_000  # the command and the server of workers
_MEMORY_PER_WORKER = 150_000_000
START_SECONDS = 2.0  # until the workers have imported torch


def estimate_seconds(
    experiment: Experiment, measured: Mapping[str, float] = MappingProxyType({})
) -> float:
    """Return how long one core will train and score the experiment.

    Of a plugged-in network only a step tells how long an image takes: *measured* has the seconds,
    by `key_of("network", experiment)`. Without them the estimate is 0.
    """
    work = count_work(experiment)
    if work is None:
        workload = workload_of(experiment)
        trained = workload.steps_per_epoch * experiment.batch_size
        images = experiment.epochs * (trained + workload.valid_images / 3)
        return images * measured.get(key_of("network", experiment), 0.0)
    layers, weights, flops = work
    return LAYER_SECONDS * layers + SECONDS_PER_WEIGHT * weights + SECONDS_PER_FLOP * flops


def count_work(experiment: Experiment) -> tuple[int, int, int] | None:
    """Return how often each of the three constants is paid, None for a plugged-in network."""
    network, workload = work_of(experiment), workload_of(experiment)
    if network is None:
        return None
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


def memory_for(workers: int) -> int:
    """Return the bytes that so many workers with small networks need, the command included."""
    return _MEMORY + workers * _MEMORY_PER_WORKER


def workers_for(memory: int) -> int:
    """Return how many workers have room in so many bytes, at least one."""
    return max(1, (memory - _MEMORY) // _MEMORY_PER_WORKER)
