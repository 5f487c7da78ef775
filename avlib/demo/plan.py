"""Which video shows what, sounds like what, and when: everything but the pixels and the waves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

CATEGORIES = ("bell", "bird", "clock", "fire", "helicopter", "sea")
DISTRACTORS = ("voice", "music")

_KINDS = ("mixed", "clean", "mixed", "dirty", "mixed", "clean")
"""By turns within a category: mixed = another sound for about half the time, dirty = for nearly all of it."""


_MORE_FROM_S = 11.0
"""From this duration on a mixed video has two stretches of other sounds and a dirty one three: one more."""


@dataclass(frozen=True)
class Format:
    """A container with its codecs (FFmpeg's names), picture size, rates and channels."""

    suffix: str
    video_codec: str
    audio_codec: str
    size_px: tuple[int, int]
    frame_rate_hz: int
    audio_rate_hz: int
    channels: int


# x264's output was seen to vary from run to run (same input, one thread) at widths that are not multiples of
# 128, never at those that are: with them a seed gives the same bytes.
FORMATS = (
    Format("mp4", "libx264", "aac", (384, 288), 25, 44_100, 2),
    Format("webm", "libvpx", "libopus", (320, 240), 30, 48_000, 1),
    Format("mkv", "mpeg4", "libmp3lame", (352, 288), 24, 32_000, 2),
    Format("mp4", "libx264", "aac", (384, 216), 15, 22_050, 1),
    Format("webm", "libvpx-vp9", "libopus", (288, 216), 15, 48_000, 2),
    Format("mkv", "libx264", "aac", (256, 192), 24, 16_000, 1),
    Format("mp4", "mpeg4", "libmp3lame", (352, 264), 15, 44_100, 2),
)


@dataclass(frozen=True)
class Stretch:
    """A time in which the sound is of one category (or distractor). Ends where the next begins."""

    start_s: float
    end_s: float
    sound: str


@dataclass(frozen=True)
class VideoPlan:
    """One video to be made. Its pictures are of `category` throughout."""

    number: int
    name: str
    category: str
    format: Format
    duration_s: float
    stretches: tuple[Stretch, ...]


def plan_videos(videos: int, *, seed: int) -> list[VideoPlan]:
    """Plan a number of videos, as many of each category as can be, with formats that say nothing of it."""
    rng = np.random.default_rng([seed, 0])
    decks = {category: _deck(rng, category) for category in CATEGORIES}
    digits = max(2, len(str(videos - 1)))
    plans = []
    for number, place in enumerate(rng.permutation(videos).tolist()):
        category = CATEGORIES[place % len(CATEGORIES)]
        kind = _KINDS[place // len(CATEGORIES) % len(_KINDS)]
        form = FORMATS[number % len(FORMATS)]
        duration_s = float(rng.integers(8, 12))
        name = f"v{number:0{digits}d}.{form.suffix}"
        stretches = tuple(_stretches(rng, category, kind, duration_s, decks[category]))
        plans.append(VideoPlan(number, name, category, form, duration_s, stretches))
    return plans


def _deck(rng: np.random.Generator, category: str) -> Iterator[str]:
    """Return the sounds that will replace a category's own, endlessly, no two in a row alike.

    Half are voice or music, which recur with every picture; the others come round rarely.
    """
    others = rng.permutation([other for other in CATEGORIES if other != category]).tolist()
    deck = [sound for number, other in enumerate(others) for sound in (other, DISTRACTORS[number % 2])]
    start = int(rng.integers(len(deck)))
    return itertools.cycle(deck[start:] + deck[:start])


def _stretches(
    rng: np.random.Generator, category: str, kind: str, duration_s: float, deck: Iterator[str]
) -> list[Stretch]:
    if kind == "clean":
        return [Stretch(0.0, duration_s, category)]
    if kind == "dirty":
        clean_s = float(rng.uniform(0.8, 1.4))
        count = 2 if duration_s < _MORE_FROM_S else 3
        edges = np.linspace(clean_s, duration_s, count + 1)
        return _cut([0.0, *edges.tolist()], [category, *itertools.islice(deck, count)])
    if duration_s < _MORE_FROM_S:
        dirty_s = max(3.0, duration_s * float(rng.uniform(0.34, 0.48)))
        clean_s = duration_s - dirty_s
        start_s = float(rng.choice([0.0, clean_s, rng.uniform(1.0, clean_s - 1.0)], p=[0.25, 0.25, 0.5]))
        return _cut([0.0, start_s, start_s + dirty_s, duration_s], [category, next(deck), category])
    spans_s = ((0.5, 2.0), (3.0, 3.4), (1.0, 1.8), (3.0, 3.4))
    edges = np.cumsum([0.0, *(float(rng.uniform(*span)) for span in spans_s)])
    return _cut([*edges.tolist(), duration_s], [category, next(deck), category, next(deck), category])


def _cut(edges_s: Sequence[float], sounds: Sequence[str]) -> list[Stretch]:
    """Turn n + 1 edges and n sounds into stretches, leaving out empty ones."""
    rounded = [round(edge, 2) for edge in edges_s]
    spans = zip(rounded[:-1], rounded[1:], sounds, strict=True)
    return [Stretch(start, end, sound) for start, end, sound in spans if end > start]
