"""Videos that change as they go, and what others make of them: raw descriptors with known copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avlib.arrays import Float32Array, Int64Array
from avlib.identity import sample_ids

RATE_HZ, STRIDE, FRAMES = 25, 5, 40  # 8 s at 5 samples a second
DIMENSIONS = (80, 40)


@dataclass(frozen=True)
class Planted:
    """Video 1 is video 0 encoded again. Video 3 holds 4 s of video 2, 1 s later. Video 5 is video 4 with another sound,
    video 6 another picture with the sound of video 4. The others have nothing of each other.

    copies, originals: shape (m,), samples that are copies and of which they are.
    """

    ids: Int64Array
    times_s: np.ndarray
    visual: Float32Array
    audio: Float32Array
    copies: Int64Array
    originals: Int64Array


def planted(*, videos: int = 12, noise: float = 0.2, seed: int = 0) -> Planted:
    random = np.random.default_rng(seed)

    def recording(dimension: int) -> np.ndarray:
        return random.normal(size=dimension) + 0.3 * np.cumsum(random.normal(size=(FRAMES, dimension)), axis=0)

    sights, sounds = ([recording(dimension) for _ in range(videos)] for dimension in DIMENSIONS)
    for kind in (sights, sounds):
        kind[1] = kind[0]
        kind[3][5:25] = kind[2][:20]
    sights[5], sounds[6] = sights[4], sounds[4]
    for kind in (sights, sounds):
        for video in (1, 3, 5, 6):
            kind[video] = kind[video] + noise * random.normal(size=kind[video].shape)
    frames = np.arange(FRAMES) * STRIDE
    ids = np.concatenate([sample_ids(video, frames) for video in range(videos)])
    copies = [sample_ids(1, frames), sample_ids(3, frames[5:25])]
    originals = [sample_ids(0, frames), sample_ids(2, frames[:20])]
    visual, audio = (np.concatenate(kind).astype(np.float32) for kind in (sights, sounds))
    return Planted(
        ids, np.tile(frames / RATE_HZ, videos), visual, audio, np.concatenate(copies), np.concatenate(originals)
    )
