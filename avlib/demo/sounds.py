"""The sounds of the demo's six categories, synthesised.

Each function takes a generator, the rhythm it shares with its picture, a duration and a rate, and returns a
mono track of round(duration_s * rate_hz) samples at no particular level (see `synthesis.recorded`).
"""

from __future__ import annotations

import numpy as np
from scipy import signal

from avlib.arrays import Float64Array
from avlib.demo.beat import Beat
from avlib.demo.synthesis import add_at, drift, noise, seconds, struck


def fire(rng: np.random.Generator, beat: Beat, duration_s: float, rate_hz: int) -> Float64Array:
    """Crackle: many short bursts of very different strength over a low roar that swells with the gusts."""
    time_s = seconds(duration_s, rate_hz)
    gust = np.exp(-3 * beat.since_all(time_s) / beat.period_s)
    roar = noise(rng, len(time_s), 60, float(rng.uniform(250, 450)), rate_hz) * (0.5 + 0.4 * gust)
    hiss = noise(rng, len(time_s), 1500, 7000, rate_hz) * (0.2 + 0.08 * drift(rng, len(time_s), 2, rate_hz))
    track = 0.5 * roar + 0.6 * hiss
    for decay_s, low_hz, high_hz in ((0.002, 1500, 7500), (0.006, 900, 5500), (0.014, 500, 3500)):
        count = rng.poisson(rng.uniform(13, 22) * duration_s)
        clicks = np.zeros_like(time_s)
        clicks[rng.integers(0, len(clicks), size=count)] = rng.lognormal(0, 0.7, size=count)
        length = int(8 * decay_s * rate_hz)
        burst = noise(rng, length, low_hz, high_hz, rate_hz) * np.exp(-np.arange(length) / rate_hz / decay_s)
        track += 0.8 * signal.fftconvolve(clicks, burst)[: len(track)]
    return track


def sea(rng: np.random.Generator, beat: Beat, duration_s: float, rate_hz: int) -> Float64Array:
    """Surf: noise that swells and falls with the waves, brighter the louder it is."""
    time_s = seconds(duration_s, rate_hz)
    phase = beat.since_all(time_s) / beat.period_s
    rise = float(rng.uniform(0.25, 0.4))
    swell = np.where(phase < rise, phase / rise, (1 - phase) / (1 - rise)) ** 1.3
    swell = swell * (1 + 0.15 * drift(rng, len(time_s), 0.5, rate_hz))
    rumble = noise(rng, len(time_s), 70, 500, rate_hz) * (0.5 + 0.5 * swell)
    wash = noise(rng, len(time_s), 350, 2200, rate_hz) * (0.3 + 0.9 * swell)
    spray = noise(rng, len(time_s), 2000, float(rng.uniform(6000, 9000)), rate_hz) * (0.1 + 0.8 * swell**2)
    return rumble + wash + float(rng.uniform(0.4, 0.7)) * spray


def clock(rng: np.random.Generator, beat: Beat, duration_s: float, rate_hz: int) -> Float64Array:
    """Tick and tock by turns: a click that rings in the wood of the case."""
    base_hz, click_hz = float(rng.uniform(320, 480)), float(rng.uniform(1900, 2700))
    track = 0.003 * noise(rng, round(duration_s * rate_hz), 100, 3000, rate_hz)
    for number, start_s in enumerate(beat.times_s(duration_s)):
        pitch = 1.0 if number % 2 else 0.84
        partials = [
            (click_hz, 1.0, 0.02),
            (1.53 * click_hz, 0.6, 0.012),
            (2.9 * base_hz, 0.8, 0.04),
            (base_hz, 0.9, 0.06),
        ]
        tick = struck(np.asarray(partials) * (pitch, 1, 1), 0.3, rate_hz)
        length = int(0.012 * rate_hz)
        tick[:length] += 0.5 * rng.standard_normal(length) * np.linspace(1, 0, length)
        add_at(track, tick * float(rng.uniform(0.85, 1.1)), round(start_s * rate_hz))
    return track


def bell(rng: np.random.Generator, beat: Beat, duration_s: float, rate_hz: int) -> Float64Array:
    """A cast bell: hum, prime, tierce, quint and nominal, with the upper partials gone first."""
    prime_hz = float(rng.uniform(380, 620))
    ratios = np.asarray([0.5, 1.0, 1.2, 1.5, 2.0, 2.51, 2.66, 3.01, 4.17, 5.43])
    ratios = ratios * rng.normal(1, 0.004, size=len(ratios))
    amplitudes = np.asarray([0.5, 0.8, 0.75, 0.4, 1.0, 0.4, 0.35, 0.5, 0.35, 0.2])
    amplitudes = amplitudes * rng.uniform(0.7, 1.3, size=len(ratios))
    decays_s = float(rng.uniform(0.9, 1.5)) / ratios**0.6
    strike = struck(np.stack([ratios * prime_hz, amplitudes, decays_s], axis=1), 3.5, rate_hz)
    track = np.zeros(round(duration_s * rate_hz))
    # The stroke before the first keeps the opening from being silent.
    for start_s in np.concatenate([[beat.first_s - beat.period_s], beat.times_s(duration_s)]):
        skipped = max(0, -round(start_s * rate_hz))
        add_at(track, strike[skipped:] * float(rng.uniform(0.8, 1.1)), max(0, round(start_s * rate_hz)))
    return track


def bird(rng: np.random.Generator, beat: Beat, duration_s: float, rate_hz: int) -> Float64Array:
    """Song: phrases of a few short whistles whose pitch sweeps up or down, over a quiet garden."""
    pitch_hz = float(rng.uniform(3000, 4600))
    notes = int(rng.integers(3, 6))
    note_s = 0.8 * beat.period_s / notes
    sweeps = rng.uniform(-0.3, 0.3, size=notes)
    steps = rng.uniform(0.82, 1.25, size=notes)
    phrase = np.zeros(round(beat.period_s * rate_hz))
    for note in range(notes):
        time_s = seconds(note_s * 0.85, rate_hz)
        share = time_s / time_s[-1]
        warble = 0.03 * np.sin(2 * np.pi * float(rng.uniform(25, 45)) * time_s)
        curve_hz = pitch_hz * steps[note] * (1 + sweeps[note] * (share - 0.5) + warble)
        whistle = np.sin(2 * np.pi * np.cumsum(curve_hz) / rate_hz) * np.sin(np.pi * share) ** 0.7
        add_at(phrase, whistle, round(note * note_s * rate_hz))
    track = 0.02 * noise(rng, round(duration_s * rate_hz), 200, 2500, rate_hz)
    for start_s in np.concatenate([[beat.first_s - beat.period_s], beat.times_s(duration_s)]):
        skipped = max(0, -round(start_s * rate_hz))
        add_at(track, phrase[skipped:] * float(rng.uniform(0.7, 1.1)), max(0, round(start_s * rate_hz)))
    return track


def helicopter(rng: np.random.Generator, beat: Beat, duration_s: float, rate_hz: int) -> Float64Array:
    """Chop: a thump at every blade pass, the wind of the rotor, and the whine of the turbine."""
    time_s = seconds(duration_s, rate_hz)
    since = beat.since_all(time_s)
    thump = noise(rng, len(time_s), 50, float(rng.uniform(160, 260)), rate_hz) * np.exp(-since / 0.022)
    wind = noise(rng, len(time_s), 200, float(rng.uniform(900, 1500)), rate_hz) * (0.25 + np.exp(-since / 0.03))
    whine_hz = float(rng.uniform(520, 800)) * (1 + 0.01 * drift(rng, len(time_s), 0.5, rate_hz))
    turn = 2 * np.pi * np.cumsum(whine_hz) / rate_hz
    whine = sum(0.5**harmonic * np.sin(harmonic * turn) for harmonic in (1, 2, 3))
    return 2.2 * thump + 0.7 * wind + float(rng.uniform(0.12, 0.25)) * np.asarray(whine)
