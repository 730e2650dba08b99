"""Write the data set from fmgrid's cache into a folder as torchvision keeps it.

python scripts/benchmarks/torchvision_data.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from fmgrid.data.batches import load_split
from fmgrid.data.cache import prepare
from fmgrid.data.catalogue import DATASETS


def main() -> None:
    """Write the four idx files."""
    raw = Path(sys.argv[1], "FashionMNIST", "raw")
    raw.mkdir(parents=True)
    folder = prepare("fashion-mnist").folder
    for name in DATASETS["fashion-mnist"].files.sha256:
        images = load_split(folder, "train" if name.startswith("train") else "test")
        if "images" in name:
            header = np.array([0x803, len(images.inputs), 28, 28], ">i4").tobytes()
            body = (images.inputs.numpy() * 255).round().astype(np.uint8).tobytes()
        else:
            header = np.array([0x801, len(images.labels)], ">i4").tobytes()
            body = images.labels.numpy().astype(np.uint8).tobytes()
        (raw / name).write_bytes(header + body)


if __name__ == "__main__":
    main()
