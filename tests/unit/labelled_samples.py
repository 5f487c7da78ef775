"""Made-up labelled samples: categories that can be told apart in both modalities, and sounds outside them."""

from __future__ import annotations

import numpy as np

from avlib.descriptors import normalise_visual
from avlib.evaluation.labels import Truth
from avlib.evaluation.material import LabelledSamples, Material
from avlib.identity import sample_ids

CATEGORIES = ("bell", "dog", "sea")
OUTSIDE = ("music", "speech")


def labelled(
    videos: list[str], sounds: list[str], *, frames: int, seed: int, first_video: int = 0, spread: float = 0.35
) -> LabelledSamples:
    """One sample every 0.2 s of each video, which shows and sounds like one category each."""
    random = np.random.default_rng(seed)
    words = [*CATEGORIES, "misc", *OUTSIDE]
    centers = np.random.default_rng(7).normal(size=(2, len(words), 10))
    picture = np.repeat(np.array(videos, np.str_), frames)
    sound = np.repeat(np.array(sounds, np.str_), frames)
    ids = np.concatenate([sample_ids(first_video + number, np.arange(frames) * 5) for number in range(len(videos))])

    def around(modality: int, categories: np.ndarray) -> np.ndarray:
        rows = centers[modality][[words.index(word) for word in categories]]
        return (rows + spread * random.normal(size=rows.shape)).astype(np.float32)

    truth = Truth(picture, sound, picture == sound, np.ones(len(ids), bool))
    visual, audio = normalise_visual(around(0, picture)), 10 * around(1, sound)
    return LabelledSamples(ids, (ids & 0xFFFFFF) / 25, visual, audio, truth, sound_ids=ids, sounds=(audio,))


def material(*, videos_each: int = 6, frames: int = 12, seed: int = 0) -> Material:
    """Clean samples of three categories, and as many sounds of none."""
    categories = [category for category in CATEGORIES for _ in range(videos_each)]
    clean = labelled(categories, categories, frames=frames, seed=seed)
    voices = [OUTSIDE[number % 2] for number in range(2 * videos_each)]
    outside = labelled(["misc"] * len(voices), voices, frames=frames, seed=seed + 1, first_video=100)
    return Material(clean, outside)
