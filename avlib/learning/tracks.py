"""Log-mel tracks of videos as files, and which of their frames are worth learning from. Without torch."""

from __future__ import annotations

import io

import numpy as np

from avlib.arrays import Float32Array, Int64Array
from avlib.descriptors import loud_frames
from avlib.storage import read_whole, write_whole

SHORTEST_S = 1.0
"""Loud sound that a video needs to be learned from."""


def loud_track_frames(track: Float32Array) -> Int64Array:
    """The frames of a track whose power is above the track's median. track: shape (n, n_mels), decibels."""
    power = np.power(10.0, track.astype(np.float64) / 10).sum(axis=1)
    return np.flatnonzero(loud_frames(power.astype(np.float32)))


def track_place(folder: str, video: int) -> str:
    """Where a video's track lies."""
    return f"{folder}/{video}.npy"


def write_track(folder: str, video: int, track: Float32Array) -> None:
    """Write a track, shape (frames, n_mels), in decibels, in half precision."""
    content = io.BytesIO()
    np.save(content, track.astype(np.float16), allow_pickle=False)
    write_whole(track_place(folder, video), content.getvalue())


def read_track(folder: str, video: int) -> Float32Array:
    """A track that `write_track` wrote."""
    content = io.BytesIO(read_whole(track_place(folder, video)).to_pybytes())
    track: Float32Array = np.load(content, allow_pickle=False).astype(np.float32)
    return track
