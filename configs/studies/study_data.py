"""Data of the studies in this folder, from those that come with scikit-learn."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits


def rows_of_digits() -> tuple[NDArray[Any], ...]:
    """Return handwritten digits as sequences of their rows: [n, 8 steps, 8 features]."""
    images, labels = load_digits(return_X_y=True)
    sequences = (images.reshape(-1, 8, 8) / 16).astype(np.float32)
    return sequences[:1500], labels[:1500], sequences[1500:], labels[1500:]


def tumors() -> dict[str, Any]:
    """Return measurements of tumors: [n, 30] of 2 classes, mixed by a fixed seed."""
    data = load_breast_cancer()
    order = np.random.default_rng(0).permutation(len(data.target))
    inputs, labels = data.data[order].astype(np.float32), data.target[order]
    return {
        "x_train": inputs[:400],
        "y_train": labels[:400],
        "x_test": inputs[400:],
        "y_test": labels[400:],
        "classes": [str(name) for name in data.target_names],
    }
