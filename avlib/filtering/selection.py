"""Which components a step keeps."""

from __future__ import annotations

import numpy as np

from avlib.arrays import BoolArray, Int64Array
from avlib.filtering.strategy import Step
from avlib.identity import video_ids


def kept(ids: Int64Array, components: Int64Array, *, parents: Int64Array, step: Step) -> BoolArray:
    """Which samples stay: those in components that are large enough by all three measures of the step.

    ids: sample ids, each once.  components: each one's component.  parents: its component in the step before, the
    same for all samples in the first step. Shapes (n,).
    A component stays with at least `min_size` samples, from at least `min_videos` videos, that are at least
    `min_share` of the samples of its parent: of all of them, also those in components that go. Returns shape (n,).
    """
    _, where, sizes = np.unique(components, return_inverse=True, return_counts=True)
    seen_in = np.unique(np.stack([where, video_ids(ids)]), axis=1)[0]
    videos = np.bincount(seen_in, minlength=len(sizes))
    _, parent, parent_sizes = np.unique(parents, return_inverse=True, return_counts=True)
    # A quotient, not a product: 3 / 30 is the very 0.1 that a user writes, 0.1 · 30 need not be 3.
    share = sizes[where] / parent_sizes[parent]
    large = (sizes >= step.min_size) & (videos >= step.min_videos)
    return np.asarray(large[where] & (share >= step.min_share))
