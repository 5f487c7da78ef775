"""The rhythm a picture and its sound share: pendulum and tick, beak and chirp, swell and surf."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avlib.arrays import Float64Array

PERIODS_S = {
    "bell": (0.9, 1.4),
    "bird": (0.55, 0.85),
    "clock": (0.34, 0.5),
    "fire": (0.8, 1.5),
    "helicopter": (1 / 16, 1 / 11),
    "sea": (2.4, 3.6),
}
"""Range of seconds between two strokes, phrases, ticks, gusts, blade passes or swells, by category."""


@dataclass(frozen=True)
class Beat:
    """Something that happens every period_s seconds, for the first time at first_s."""

    period_s: float
    first_s: float

    def times_s(self, duration_s: float) -> Float64Array:
        """Return the times in [0, duration_s) at which it happens, ascending."""
        return np.arange(self.first_s, duration_s, self.period_s)

    def swing(self, time_s: float) -> float:
        """Return where a pendulum is, in [-1, 1]: at an end on every beat."""
        return float(np.cos(np.pi * (time_s - self.first_s) / self.period_s))

    def since(self, time_s: float) -> float:
        """Return the seconds since the last beat, in [0, period_s)."""
        return (time_s - self.first_s) % self.period_s

    def since_all(self, times_s: Float64Array) -> Float64Array:
        """Return the seconds since the last beat at each time, in [0, period_s)."""
        return np.mod(times_s - self.first_s, self.period_s)


def draw_beat(rng: np.random.Generator, category: str) -> Beat:
    """Draw a rhythm that suits a category of PERIODS_S."""
    period_s = float(rng.uniform(*PERIODS_S[category]))
    return Beat(period_s=period_s, first_s=float(rng.uniform(0.0, period_s)))
