"""How a sample is numbered: sample_id = video_id · 2^24 + frame index, so the video is a shift away."""

from __future__ import annotations

import numpy as np

from avlib.arrays import Int64Array
from avlib.errors import ParameterError

VIDEO_ID_SHIFT = 24
"""Bits for the frame index: 16.7 million frames, 186 hours at 25 frames a second."""

MAX_FRAMES = 1 << VIDEO_ID_SHIFT

MAX_VIDEO_ID = (1 << (63 - VIDEO_ID_SHIFT)) - 1


def sample_ids(video_id: int, frame_indexes: Int64Array) -> Int64Array:
    """Ids of the samples of one video. frame_indexes: shape (n,), in [0, 2^24). Returns shape (n,)."""
    if not 0 <= video_id <= MAX_VIDEO_ID:
        raise ParameterError("video_id", video_id, f"0 to {MAX_VIDEO_ID}")
    if frame_indexes.size and not 0 <= frame_indexes.min() <= frame_indexes.max() < MAX_FRAMES:
        raise ParameterError("frame_indexes", int(frame_indexes.max()), f"0 to {MAX_FRAMES - 1}")
    return (np.int64(video_id) << VIDEO_ID_SHIFT) + frame_indexes


def video_ids(sample_ids: Int64Array) -> Int64Array:
    """The video of each sample. Shape (n,) → (n,).

    >>> video_ids(sample_ids(3, np.array([0, 25]))).tolist()
    [3, 3]
    """
    return sample_ids >> VIDEO_ID_SHIFT
