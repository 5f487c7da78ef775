"""What the sounds are made of: noise in a band, decaying tones, and a recording's level and colour."""

from __future__ import annotations

import numpy as np
from scipy import signal

from avlib.arrays import Float64Array


def seconds(duration_s: float, rate_hz: int) -> Float64Array:
    """Return the time of every sound sample, in seconds."""
    return np.arange(round(duration_s * rate_hz)) / rate_hz


def band(sound: Float64Array, low_hz: float, high_hz: float, rate_hz: int) -> Float64Array:
    """Return the part of a sound between two frequencies (the upper is cut at 0.45 of the rate)."""
    edges = [low_hz, min(high_hz, 0.45 * rate_hz)]
    filtered: Float64Array = signal.sosfilt(signal.butter(2, edges, "bandpass", fs=rate_hz, output="sos"), sound)
    return filtered


def noise(rng: np.random.Generator, size: int, low_hz: float, high_hz: float, rate_hz: int) -> Float64Array:
    """Return noise in a band, of root mean square 1."""
    sound = band(rng.standard_normal(size), low_hz, high_hz, rate_hz)
    return sound / float(np.sqrt(np.mean(sound**2)))


def drift(rng: np.random.Generator, size: int, pace_hz: float, rate_hz: int) -> Float64Array:
    """Return a smooth random curve in [-1, 1] that turns about pace_hz times a second."""
    knots = max(4, int(size / rate_hz * pace_hz * 2) + 3)
    return np.interp(np.linspace(0, knots - 1, size), np.arange(knots), rng.uniform(-1, 1, size=knots))


def add_at(track: Float64Array, piece: Float64Array, start: int) -> None:
    """Add a piece to a track in place from sample `start` on; what lies beyond the end is left out."""
    room = max(0, min(len(piece), len(track) - start))
    track[start : start + room] += piece[:room]


def struck(partials: Float64Array, duration_s: float, rate_hz: int) -> Float64Array:
    """Return a struck sound: a sum of decaying tones, one a row (frequency in Hz, amplitude, decay in s)."""
    time_s = seconds(duration_s, rate_hz)
    sound = np.zeros_like(time_s)
    for frequency_hz, amplitude, decay_s in partials[partials[:, 0] < 0.45 * rate_hz]:
        sound += amplitude * np.exp(-time_s / decay_s) * np.sin(2 * np.pi * frequency_hz * time_s)
    return sound * np.minimum(1, time_s / 0.001)


def recorded(rng: np.random.Generator, sound: Float64Array, rate_hz: int) -> Float64Array:
    """Return the sound as a microphone might have it: its own level (± 3 dB), treble and hiss, unclipped."""
    tilt = float(rng.uniform(-0.3, 0.4))
    bass = signal.sosfilt(signal.butter(1, 900, fs=rate_hz, output="sos"), sound)
    colored = sound + tilt * (sound - bass)
    level = 0.09 * 10 ** float(rng.uniform(-3, 3) / 20) / max(1e-9, float(np.sqrt(np.mean(colored**2))))
    hiss = 0.0012 * rng.standard_normal(len(sound))
    heard: Float64Array = np.tanh(level * colored + hiss)
    return heard
