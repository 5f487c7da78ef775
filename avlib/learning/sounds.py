"""The sound that is learned from: tracks of many videos, and pairs of windows drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from avlib.arrays import Float32Array
from avlib.config import LearnSettings
from avlib.learning.tracks import loud_track_frames


@dataclass(frozen=True)
class Pairs:
    """Windows of sound, each with another of about the same time.

    first, second: shape (b, frames, n_mels), decibels.  videos: shape (b,), which each is of.
    """

    first: torch.Tensor
    second: torch.Tensor
    videos: torch.Tensor


class Sounds:
    """Tracks of some videos, one after another, with silence between them."""

    def __init__(self, tracks: Mapping[int, Float32Array], settings: LearnSettings) -> None:
        """tracks: by video, each with tracks.SHORTEST_S of loud sound. Kept in half precision."""
        self._half = settings.window_frames // 2
        self._frames = settings.window_frames
        self._apart = round(settings.apart_s * settings.track.frames_hz)
        silence = np.full((self._frames, settings.track.n_mels), 10 * np.log10(settings.track.amin), np.float16)
        pieces, loud, begins, ends = [silence], [], [], []
        at = self._frames
        for track in tracks.values():
            begins.append(at)
            ends.append(at + len(track))
            loud.append(torch.from_numpy(at + loud_track_frames(track)))
            pieces += [track.astype(np.float16), silence]
            at += len(track) + self._frames
        self._track = torch.from_numpy(np.concatenate(pieces))
        self._begins, self._ends = torch.tensor(begins), torch.tensor(ends)
        self._loud = torch.cat(loud)
        self._counts = torch.tensor([len(frames) for frames in loud])
        self._offsets = torch.cumsum(self._counts, 0) - self._counts
        whole = np.concatenate([track.astype(np.float64) for track in tracks.values()])
        self.level, self.spread = whole.mean(axis=0), float(whole.std())

    def draw(self, count: int, generator: torch.Generator) -> Pairs:
        """Pairs of random loud windows, of as many videos as there are; of each equally many, or one more."""
        rounds = -(-count // len(self._counts))
        videos = torch.cat([torch.randperm(len(self._counts), generator=generator) for _ in range(rounds)])[:count]
        place = (torch.rand(count, generator=generator) * self._counts[videos]).long()
        first = self._loud[self._offsets[videos] + place]
        away = torch.round((2 * torch.rand(count, generator=generator) - 1) * self._apart).long()
        second = torch.minimum(torch.maximum(first + away, self._begins[videos]), self._ends[videos] - 1)
        return Pairs(self._windows(first), self._windows(second), videos)

    def _windows(self, centres: torch.Tensor) -> torch.Tensor:
        return self._track[centres[:, None] - self._half + torch.arange(self._frames)].float()
