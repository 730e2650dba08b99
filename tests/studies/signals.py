"""Data of the studies' authors, made up in the shapes of theirs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_TEST = 60


def heartbeats() -> tuple[NDArray[Any], ...]:
    """Return electrocardiograms [n, 187, 1] of 5 classes."""
    return _made_up((187, 1), classes=5)


def gestures() -> tuple[NDArray[Any], ...]:
    """Return accelerations [n, 30, 3] of 20 gestures."""
    return _made_up((30, 3), classes=20)


def table(rows: int) -> tuple[NDArray[Any], ...]:
    """Return rows of a table [n, 14] of 2 classes."""
    return _made_up((14,), classes=2, number=rows)


def _made_up(shape: tuple[int, ...], classes: int, number: int = 300) -> tuple[NDArray[Any], ...]:
    random = np.random.default_rng(0)
    labels = np.arange(number) % classes
    inputs = random.normal(size=(number, *shape)) + labels.reshape(-1, *[1] * len(shape))
    inputs = inputs.astype(np.float32)
    return inputs[_TEST:], labels[_TEST:], inputs[:_TEST], labels[:_TEST]
