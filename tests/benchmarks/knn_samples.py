"""Samples for the benchmarks of the neighbor search: much alike inside a video, half of them noise."""

from __future__ import annotations

import numpy as np

from avlib.arrays import Float32Array
from avlib.identity import VIDEO_ID_SHIFT
from avlib.neighbors import Block

_FRAMES_PER_VIDEO, _FRAMES_PER_SHOT, _KINDS = 500, 50, 40


def structured_samples(rows: int, *, dimensions: tuple[int, int], seed: int = 0) -> Block:
    """Videos of shots of 50 near-equal samples of one of 40 kinds; every second sample has another kind's sound.

    Normalised; each modality varies in about 30 directions, and a little in all. One sample in 100 is a copy of
    another, and one in 100 differs from another by about 1e-5.
    """
    random = np.random.default_rng(seed)
    frame = np.arange(rows)
    shots = -(-rows // _FRAMES_PER_SHOT)
    kinds = random.integers(0, _KINDS, shots)[frame // _FRAMES_PER_SHOT]
    copies, near_copies, sources = random.permutation(rows)[: rows // 100 * 3].reshape(3, -1)
    swapped = np.where(random.random(rows) < 0.5, random.integers(0, _KINDS, rows), kinds)

    def descriptors(kinds: np.ndarray, dimension: int) -> Float32Array:
        directions = random.normal(size=(30, dimension)).astype(np.float32)
        of_kind = random.normal(size=(_KINDS, 30))[kinds]
        of_shot = random.normal(size=(shots, 30))[frame // _FRAMES_PER_SHOT]
        x = (of_kind + 0.7 * of_shot + 0.1 * random.normal(size=(rows, 30))).astype(np.float32) @ directions
        x += np.float32(0.1) * random.standard_normal((rows, dimension), np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        x[copies] = x[sources]
        x[near_copies] = x[sources] + np.float32(1e-5 / dimension**0.5) * random.normal(size=(len(sources), dimension))
        return x

    ids = ((frame // _FRAMES_PER_VIDEO).astype(np.int64) << VIDEO_ID_SHIFT) + frame % _FRAMES_PER_VIDEO
    visual, audio = descriptors(kinds, dimensions[0]), descriptors(swapped, dimensions[1])
    return Block(ids, visual, audio, frame % _FRAMES_PER_VIDEO / 5)
