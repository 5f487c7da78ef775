"""The network: five convolutions over a log-mel window, pooled."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from avlib.config import LearnSettings

_STRIDES = ((2, 2), (2, 2), (2, 2), (2, 1))  # bands and time; of further layers 1


class SoundNet(nn.Module):
    """Windows of a log-mel track → what they sound like.

    level, spread: what the track is standardised by, mean of each band and deviation of all; part of the weights.
    """

    level: torch.Tensor
    spread: torch.Tensor

    def __init__(self, settings: LearnSettings) -> None:
        super().__init__()
        self.register_buffer("level", torch.zeros(settings.track.n_mels))
        self.register_buffer("spread", torch.ones(()))
        layers: list[nn.Module] = []
        before = 1
        for number, channels in enumerate(settings.channels):
            stride = _STRIDES[number] if number < len(_STRIDES) else (1, 1)
            layers += [
                nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ]
            before = channels
        self.layers = nn.Sequential(*layers)
        self.projection = nn.Sequential(
            nn.Linear(2 * before, 2 * before), nn.ReLU(), nn.Linear(2 * before, settings.projection)
        )
        self.to(memory_format=torch.channels_last)  # on a CPU half as fast again

    def describe(self, windows: torch.Tensor) -> torch.Tensor:
        """Mean and maximum of the last layer. windows: (b, frames, n_mels), decibels. Returns (b, 2 · channels[-1])."""
        standard = ((windows - self.level) / self.spread).transpose(1, 2).unsqueeze(1)
        last = self.layers(standard.contiguous(memory_format=torch.channels_last))
        return torch.cat([last.mean((2, 3)), last.amax((2, 3))], dim=1)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """What the loss compares: (b, projection), of length 1."""
        return functional.normalize(self.projection(self.describe(windows)), dim=1)
