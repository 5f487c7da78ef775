"""Where a sound begins and ends: made-up sounds of known bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avlib.arrays import Float32Array
from avlib.retrieval.events import RATE_HZ, event_around


def in_quiet(sound: np.ndarray, *, begin_s: float, length_s: float, quiet: float = 1e-3, seed: int = 0) -> Float32Array:
    waveform = quiet * np.random.default_rng(seed).normal(size=round(length_s * RATE_HZ))
    first = round(begin_s * RATE_HZ)
    waveform[first : first + len(sound)] += sound
    return waveform.astype(np.float32)


def bark(length_s: float, *, seed: int = 1) -> np.ndarray:
    time_s = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    rough = np.random.default_rng(seed).normal(size=time_s.size)
    return 0.3 * np.sin(np.pi * time_s / length_s) ** 0.3 * (np.sin(2 * np.pi * 500 * time_s) + 0.4 * rough)


@pytest.mark.parametrize("length_s", [0.3, 0.6, 1.5, 4.0])
def test_one_sound_in_quiet(length_s: float) -> None:
    waveform = in_quiet(bark(length_s), begin_s=4.0, length_s=13.0)
    begin_s, end_s = event_around(waveform, time_s=4.0 + length_s / 2)
    assert begin_s == pytest.approx(4.0, abs=0.1)
    assert end_s == pytest.approx(4.0 + length_s, abs=0.1)


def test_another_sound_as_loud_begins_another_event() -> None:
    random, time_s = np.random.default_rng(0), np.arange(6 * RATE_HZ) / RATE_HZ
    hiss = 0.1 * random.normal(size=time_s.size)
    tone = 0.14 * np.sin(2 * np.pi * 300 * time_s) + 0.01 * random.normal(size=time_s.size)
    waveform = np.concatenate([hiss, tone, hiss]).astype(np.float32)
    assert event_around(waveform, time_s=9.0) == pytest.approx((6.0, 12.0), abs=0.1)
    assert event_around(waveform, time_s=2.0) == pytest.approx((0.0, 6.0), abs=0.1)


def test_an_even_sound_is_one_event() -> None:
    waveform = (0.1 * np.random.default_rng(0).normal(size=10 * RATE_HZ)).astype(np.float32)
    assert event_around(waveform, time_s=3.0) == pytest.approx((0.0, 10.0), abs=0.03)


def test_beats_with_short_pauses_are_one_event() -> None:
    waveform = sum(in_quiet(bark(0.15), begin_s=at, length_s=12.0) for at in np.arange(3.0, 8.0, 0.5))
    begin_s, end_s = event_around(np.asarray(waveform, np.float32), time_s=5.05)
    assert begin_s == pytest.approx(3.0, abs=0.1)
    assert end_s == pytest.approx(7.65, abs=0.1)


@given(st.floats(0, 3), st.integers(0, 3), st.floats(0.05, 3))
def test_the_time_lies_within(time_s: float, seed: int, length_s: float) -> None:
    random = np.random.default_rng(seed)
    waveform = (random.normal(size=round(length_s * RATE_HZ)) * random.choice([0, 1, 0.1], 1)).astype(np.float32)
    time_s = min(time_s, len(waveform) / RATE_HZ)
    begin_s, end_s = event_around(waveform, time_s=time_s)
    assert 0 <= begin_s <= time_s <= end_s <= len(waveform) / RATE_HZ
