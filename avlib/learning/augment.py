"""Changes that leave a sound what it is: level, equaliser, gaps."""

from __future__ import annotations

import torch
from torch.nn import functional

from avlib.config import LearnSettings

_KNOTS = 6  # points of a random equaliser curve
_LONGEST = {1: 1 / 5, 2: 1 / 6}  # share of a window's time, or bands, that a mask takes at most


def augment(
    windows: torch.Tensor, level: torch.Tensor, generator: torch.Generator, settings: LearnSettings
) -> torch.Tensor:
    """Windows, each changed in its own way. windows: shape (b, frames, n_mels), decibels; so is what is returned.

    level: shape (n_mels,), what masked parts are set to.  generator: on the CPU, whatever the windows' device.
    """
    count, _, bands = windows.shape
    curve = settings.equaliser_db * torch.randn(count, 1, _KNOTS, generator=generator)
    curve = functional.interpolate(curve, size=bands, mode="linear", align_corners=True)
    gain = settings.gain_db * (2 * torch.rand(count, 1, 1, generator=generator) - 1)
    windows = windows + (curve + gain).to(windows.device)
    for _ in range(settings.masks):
        for axis in (1, 2):
            windows = torch.where(_mask(windows, axis, generator), level, windows)
    return windows


def _mask(windows: torch.Tensor, axis: int, generator: torch.Generator) -> torch.Tensor:
    """A stretch of random place and length of each window, along an axis; True where it lies."""
    count, size = len(windows), windows.shape[axis]
    length = torch.rand(count, generator=generator) * size * _LONGEST[axis]
    start = torch.rand(count, generator=generator) * (size - length)
    place = torch.arange(size)
    inside = (place >= start[:, None]) & (place < (start + length)[:, None])
    return inside.unsqueeze(3 - axis).to(windows.device)
