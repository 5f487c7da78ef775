"""What goes into a neighbor search, what may count as a neighbor, and what comes out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from avlib.arrays import Float32Array, Float64Array, Int64Array
from avlib.errors import ParameterError

Exclude = Literal["none", "same_video", "window"]


@dataclass(frozen=True, eq=False)
class Block:
    """Some samples: the unit of kNN work.

    ids: shape (n,), int64, not negative, each once; the video of a sample is `avlib.identity.video_ids`.
    visual, audio: shapes (n, d_V) and (n, d_A), float32, normalised. A modality that no step
        looks at may have 0 columns.
    times_s: shape (n,), float64, seconds from the start of the sample's video.
    Raises ParameterError for another shape or type, and for NaN, infinity or repeated ids.
    """

    ids: Int64Array
    visual: Float32Array
    audio: Float32Array
    times_s: Float64Array

    def __post_init__(self) -> None:
        rows = len(self.ids)
        _require("ids", self.ids, np.int64, (rows,))
        _require("visual", self.visual, np.float32, (rows, self.visual.shape[-1]))
        _require("audio", self.audio, np.float32, (rows, self.audio.shape[-1]))
        _require("times_s", self.times_s, np.float64, (rows,))
        if rows and self.ids.min() < 0:
            raise ParameterError("ids", int(self.ids.min()), "sample ids, 0 or more")
        if len(np.unique(self.ids)) < rows:
            raise ParameterError("ids", "repeated", "every sample once")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Int64Array) -> Block:
        """The samples at these positions, in this order."""
        return Block(self.ids[rows], self.visual[rows], self.audio[rows], self.times_s[rows])


def joined(blocks: Sequence[Block]) -> Block:
    """The samples of one or more blocks as one, in their order."""
    if len(blocks) == 1:
        return blocks[0]
    parts = zip(*((block.ids, block.visual, block.audio, block.times_s) for block in blocks), strict=True)
    return Block(*map(np.concatenate, parts))


@dataclass(frozen=True, eq=False)
class NeighborLists:
    """The nearest samples of every sample, each list in ascending order of (distance, id).

    ids: shape (n,), int64.  neighbor_ids: shape (n, k), int64; -1 where a list is shorter than k.
    distances: shape (n, k), float32, whole numbers of 1e-6; infinity where a list is shorter than k.
    """

    ids: Int64Array
    neighbor_ids: Int64Array
    distances: Float32Array

    def __post_init__(self) -> None:
        shape = (len(self.ids), self.neighbor_ids.shape[-1])
        _require("neighbor_ids", self.neighbor_ids, np.int64, shape)
        if self.distances.shape != shape:
            raise ParameterError("distances", self.distances.shape, f"the shape of neighbor_ids, {shape}")

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Int64Array) -> NeighborLists:
        """The lists at these positions, in this order."""
        return NeighborLists(self.ids[rows], self.neighbor_ids[rows], self.distances[rows])


@dataclass(frozen=True)
class NeighborRule:
    """Which samples may be neighbors of which. A sample is never its own neighbor.

    exclude: `none`, as in the paper; `same_video`; or `window`, the samples of the same video at most
        `exclude_s` seconds away (and a microsecond, so that the rounding of times decides nothing).
    per_video: at most this many neighbors from each other video, 0 for no limit. The sample's own video is
        governed by `exclude` alone.
    """

    exclude: Exclude = "none"
    exclude_s: float = 0.0
    per_video: int = 0

    def __post_init__(self) -> None:
        if self.exclude not in get_args(Exclude):
            raise ParameterError("exclude", self.exclude, f"one of {', '.join(get_args(Exclude))}")
        if not 0 <= self.exclude_s < math.inf:
            raise ParameterError("exclude_s", self.exclude_s, "seconds, 0 or more")
        if self.per_video < 0:
            raise ParameterError("per_video", self.per_video, "0 (no limit) or more")

    def check(self, *, k: int, samples: int, videos: int) -> None:
        """Raise ParameterError if k neighbors by this rule make no sense in the whole of a collection."""
        check_k(k)
        if samples and k >= samples:
            raise ParameterError("k", k, f"k below the number of samples, {samples}; lower k or add videos")
        if videos == 1 and self.exclude == "same_video":
            raise ParameterError("exclude", self.exclude, "more than one video; or use none or window")
        if videos == 1 and self.per_video:
            raise ParameterError("per_video", self.per_video, "0, as there is one video only; or add videos")


def check_k(k: int) -> None:
    """Raise ParameterError for a k below 1."""
    if k < 1:
        raise ParameterError("k", k, "1 or more")


def _require(name: str, array: np.ndarray, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ParameterError(name, f"{array.dtype} {array.shape}", f"{np.dtype(dtype)} {shape}")
    if np.issubdtype(dtype, np.floating) and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise ParameterError(name, f"NaN or infinity in row {row}", "finite numbers; describe it again")
