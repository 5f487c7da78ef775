"""Turn a plan into pictures and sound. Every video has its own stream of random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from avlib.arrays import Float32Array, Float64Array, UInt8Array
from avlib.demo import distractors, sounds
from avlib.demo.beat import Beat, draw_beat
from avlib.demo.canvas import Camera
from avlib.demo.clockwork import Bell, Clock
from avlib.demo.hearth import Fire
from avlib.demo.plan import CATEGORIES, Stretch, VideoPlan
from avlib.demo.scenes import Bird, Helicopter, Sea
from avlib.demo.synthesis import recorded

SCENES: dict[str, Callable[[np.random.Generator, Beat], Callable[[float], Image.Image]]] = {
    "bell": Bell,
    "bird": Bird,
    "clock": Clock,
    "fire": Fire,
    "helicopter": Helicopter,
    "sea": Sea,
}

SOUNDS: dict[str, Callable[[np.random.Generator, Beat, float, int], Float64Array]] = {
    "bell": sounds.bell,
    "bird": sounds.bird,
    "clock": sounds.clock,
    "fire": sounds.fire,
    "helicopter": sounds.helicopter,
    "sea": sounds.sea,
}

_FADE_S = 0.03
_PICTURE, _SOUND, _QUERY, _BEAT = 1, 2, 3, 4


def pictures(plan: VideoPlan, *, seed: int) -> Iterator[UInt8Array]:
    """Yield the video's pictures in order, each of shape (height, width, 3), RGB."""
    rng = np.random.default_rng([seed, _PICTURE, plan.number])
    scene = SCENES[plan.category](rng, _beat(plan, seed=seed))
    camera = Camera(rng, plan.format.size_px)
    for index in range(round(plan.duration_s * plan.format.frame_rate_hz)):
        time_s = index / plan.format.frame_rate_hz
        yield camera.view(scene(time_s), time_s)


def soundtrack(plan: VideoPlan, *, seed: int) -> Float32Array:
    """Return the video's sound, shape (samples, channels), in [-1, 1].

    The true sound keeps time with the pictures through the whole video; a stretch of another sound takes its
    place, with fades of 30 ms about the labelled times.
    """
    rate_hz = plan.format.audio_rate_hz
    rng = np.random.default_rng([seed, _SOUND, plan.number])
    true = SOUNDS[plan.category](rng, _beat(plan, seed=seed), plan.duration_s, rate_hz)
    track = recorded(rng, true, rate_hz)
    time_s = np.arange(len(track)) / rate_hz
    for stretch in plan.stretches:
        if stretch.sound != plan.category:
            share = np.clip((time_s - stretch.start_s) / _FADE_S + 0.5, 0, 1)
            share *= np.clip((stretch.end_s - time_s) / _FADE_S + 0.5, 0, 1)
            track = (1 - share) * track + share * _replacement(rng, stretch, plan)
    left = track.astype(np.float32)[:, None]
    return (
        left if plan.format.channels == 1 else np.concatenate([left, np.float32(rng.uniform(0.75, 1)) * left], axis=1)
    )


def query_picture(category: str, number: int, *, seed: int) -> UInt8Array:
    """Return a held-out picture of a category, shape (300, 400, 3), RGB: a scene that is in no video."""
    rng = np.random.default_rng([seed, _QUERY, CATEGORIES.index(category), number])
    scene = SCENES[category](rng, draw_beat(rng, category))
    time_s = float(rng.uniform(0, 10))
    return Camera(rng, (400, 300)).view(scene(time_s), time_s)


def _beat(plan: VideoPlan, *, seed: int) -> Beat:
    return draw_beat(np.random.default_rng([seed, _BEAT, plan.number]), plan.category)


def _replacement(rng: np.random.Generator, stretch: Stretch, plan: VideoPlan) -> Float64Array:
    """Return the stretch's sound laid into an otherwise silent track, with room for the fades."""
    rate_hz = plan.format.audio_rate_hz
    start = max(0, round((stretch.start_s - _FADE_S) * rate_hz))
    end = min(round(plan.duration_s * rate_hz), round((stretch.end_s + _FADE_S) * rate_hz))
    length_s = (end - start) / rate_hz
    if stretch.sound == "voice":
        piece = distractors.voice(rng, length_s, rate_hz)
    elif stretch.sound == "music":
        piece = distractors.music(rng, length_s, rate_hz)
    else:
        piece = SOUNDS[stretch.sound](rng, draw_beat(rng, stretch.sound), length_s, rate_hz)
    track = np.zeros(round(plan.duration_s * rate_hz))
    track[start:end] = recorded(rng, piece, rate_hz)
    return track
