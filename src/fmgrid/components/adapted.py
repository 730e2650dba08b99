"""A network in another layout of images or another precision."""

import torch
from torch import nn


class Adapted(nn.Module):
    """Gives a network its images as it wants them, and returns its logits as float32."""

    def __init__(self, network: nn.Module, *, channels_last: bool, bf16: bool) -> None:
        super().__init__()
        self.network = network
        self._channels_last = channels_last
        self._bf16 = bf16

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits of a batch."""
        if self._channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            logits: torch.Tensor = self.network(inputs)
        return logits.float() if self._bf16 else logits
