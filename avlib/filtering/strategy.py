"""What a step is, and how many neighbors it takes inside a component."""

from __future__ import annotations

import math

import numpy as np

from avlib.arrays import Int64Array
from avlib.config import StepSettings

Step = StepSettings


def cap_k(k: int, size: int, k_share: float) -> int:
    """k for a step inside a component of `size` samples: min(k, max(1, ⌈k_share · (size - 1)⌉)).

    With k ≥ size - 1 everybody would be linked with everybody, and the step would filter nothing.
    k_share: in (0, 1]; 1 is the paper's letter.
    """
    share = math.ceil(k_share * (size - 1) - 1e-9)  # 0.1 · 30 is a little more than 3 in floating point
    return min(k, max(1, share))


def capped(step: Step, samples: int) -> Step:
    """The step with a k below the number of samples, 1 at least."""
    found: Step = step.model_copy(update={"k": max(1, min(step.k, samples - 1))})
    return found


def scoped_k(step: Step, components: Int64Array) -> Int64Array:
    """`cap_k` for every sample, by the size of its component. components: shape (n,). Returns shape (n,)."""
    _, where, sizes = np.unique(components, return_inverse=True, return_counts=True)
    return np.array([cap_k(step.k, int(size), step.k_share) for size in sizes], np.int64)[where]
