"""Sounds that belong to no picture: a babbling voice, and music. No two videos share a speaker or a tune."""

from __future__ import annotations

import numpy as np
from scipy import signal

from avlib.arrays import Float64Array
from avlib.demo.synthesis import add_at, band, noise, seconds

_VOWELS_HZ = (
    (730, 1090, 2440),
    (530, 1840, 2480),
    (270, 2290, 3010),
    (570, 840, 2410),
    (300, 870, 2240),
    (490, 1350, 1690),
)
"""First three formants of a, e, i, o, u, er (men; Peterson and Barney 1952)."""


def voice(rng: np.random.Generator, duration_s: float, rate_hz: int) -> Float64Array:
    """Return babble: syllables of a consonant and a vowel, in phrases with falling pitch and short pauses."""
    pitch_hz = float(np.exp(rng.uniform(np.log(85), np.log(250))))
    tract = 0.88 + 0.3 * (pitch_hz - 85) / 165 + float(rng.uniform(-0.04, 0.08))
    pace_s, roughness = float(rng.uniform(0.14, 0.24)), float(rng.uniform(0.02, 0.15))
    track = np.zeros(round(duration_s * rate_hz))
    at_s = 0.0
    while at_s < duration_s:
        syllables = int(rng.integers(4, 10))
        for number in range(syllables):
            length_s = pace_s * float(rng.uniform(0.7, 1.5))
            onset_s = min(0.4 * length_s, _consonant(rng, track, at_s, rate_hz))
            fall = 1.12 - 0.25 * number / syllables + float(rng.uniform(-0.06, 0.06))
            formants = np.asarray(_VOWELS_HZ[rng.integers(len(_VOWELS_HZ))]) * tract
            vowel = _vowel(rng, pitch_hz * fall, formants, length_s - onset_s, rate_hz)
            breath = roughness * rng.standard_normal(len(vowel)) * np.abs(vowel)
            add_at(track, (vowel + breath) * float(rng.uniform(0.7, 1.2)), round((at_s + onset_s) * rate_hz))
            at_s += length_s
        at_s += float(rng.uniform(0.08, 0.3))
    return track


def _consonant(rng: np.random.Generator, track: Float64Array, at_s: float, rate_hz: int) -> float:
    """Add a consonant at a time and return how long it lasts, in seconds (0 for none)."""
    kind = rng.choice(["none", "hiss", "stop"], p=[0.35, 0.3, 0.35])
    if kind == "none":
        return 0.0
    length_s = float(rng.uniform(0.04, 0.08)) if kind == "hiss" else 0.025
    low_hz = float(rng.uniform(2500, 4500)) if kind == "hiss" else float(rng.uniform(500, 2000))
    piece = noise(rng, round(length_s * rate_hz), low_hz, 2.2 * low_hz, rate_hz)
    add_at(track, 0.25 * piece * np.hanning(len(piece)), round(at_s * rate_hz))
    return length_s


def _vowel(
    rng: np.random.Generator, pitch_hz: float, formants_hz: Float64Array, length_s: float, rate_hz: int
) -> Float64Array:
    """Return one vowel of peak 1: a buzz at the pitch, sent through a resonance at each formant in turn."""
    time_s = seconds(length_s, rate_hz)
    glide = 1 + float(rng.uniform(-0.12, 0.08)) * time_s / length_s + 0.01 * np.sin(2 * np.pi * 5.5 * time_s)
    turns = np.cumsum(pitch_hz * glide) / rate_hz
    sound: Float64Array = signal.lfilter([1.0], [1.0, -0.92], np.diff(np.floor(turns), prepend=0.0))
    for formant_hz, width_hz in zip(formants_hz, (80, 100, 140), strict=True):
        radius = np.exp(-np.pi * width_hz / rate_hz)
        angle = 2 * np.pi * min(float(formant_hz), 0.45 * rate_hz) / rate_hz
        sound = signal.lfilter([1 - radius], [1.0, -2 * radius * np.cos(angle), radius**2], sound)
    shape = np.minimum(1, np.minimum(time_s / 0.02, (length_s - time_s) / 0.04))
    return sound * shape / max(1e-9, float(np.max(np.abs(sound))))


def music(rng: np.random.Generator, duration_s: float, rate_hz: int) -> Float64Array:
    """Return a band of chords, bass and melody, and perhaps drums, in a key, tempo and timbre of its own."""
    beat_s = 60 / float(rng.uniform(84, 150))
    root_hz = 55 * 2 ** (int(rng.integers(0, 12)) / 12)
    scale = np.asarray([0, 2, 4, 5, 7, 9, 11] if rng.random() < 0.5 else [0, 2, 3, 5, 7, 8, 10])
    timbre = rng.uniform(0.3, 0.85, size=2)
    sustained = bool(rng.random() < 0.5)
    drums = bool(rng.random() < 0.5)
    progression = rng.permutation([0, 3, 4, 5])
    track = np.zeros(round(duration_s * rate_hz))

    def play(degree: int, octave: int, start: int, beats: float, color: float, level: float) -> None:
        pitch_hz = root_hz * 2 ** (octave + degree // 7 + scale[degree % 7] / 12)
        piece = _note(pitch_hz, beats * beat_s, rate_hz, color=color, sustained=sustained)
        add_at(track, level * piece, round(start * beat_s * rate_hz))

    for beat in range(int(duration_s / beat_s) + 1):
        chord = int(progression[beat // 4 % 4])
        if beat % 2 == 0:
            play(chord, 0, beat, 1.8, timbre[0], 0.8)
            for third in (0, 2, 4):
                play(chord + third, 2, beat, 2.0, timbre[0], 0.35)
        if rng.random() < 0.85:
            play(
                chord + int(rng.choice([0, 2, 4, 1, 7])),
                3,
                beat,
                float(rng.choice([0.5, 1.0])),
                timbre[1],
                0.5,
            )
        if drums:
            _drum(rng, track, beat, beat_s, rate_hz)
    return track


def _note(pitch_hz: float, length_s: float, rate_hz: int, *, color: float, sustained: bool) -> Float64Array:
    """Return one note of eight partials, blown (sustained) or plucked; color in (0, 1): how bright."""
    time_s = seconds(length_s, rate_hz)
    sound = np.zeros_like(time_s)
    for partial in range(1, 9):
        if partial * pitch_hz < 0.45 * rate_hz:
            fade = 1.0 if sustained else np.exp(-time_s * partial * 1.2)
            sound += color ** (partial - 1) * fade * np.sin(2 * np.pi * partial * pitch_hz * time_s)
    edge = 0.04 if sustained else 0.006
    return sound * np.minimum(1, np.minimum(time_s / edge, (length_s - time_s) / 0.04))


def _drum(rng: np.random.Generator, track: Float64Array, beat: int, beat_s: float, rate_hz: int) -> None:
    time_s = seconds(0.15, rate_hz)
    if beat % 2 == 0:
        hit = np.sin(2 * np.pi * (110 * time_s - 180 * time_s**2)) * np.exp(-time_s / 0.05)
    else:
        hit = 0.5 * band(rng.standard_normal(len(time_s)), 300, 6000, rate_hz) * np.exp(-time_s / 0.04)
    add_at(track, hit, round(beat * beat_s * rate_hz))
