"""RMS measured while sound streams by equals RMS of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avlib.descriptors import RmsMeter, rms_energy

RATE_HZ = 8000
JOINED_S = 0.04


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6000), st.integers(1, 12000)), min_size=1, max_size=8),
    st.sampled_from([25.0, 30.0, 29.97, 12.5, 60.0]),
    st.integers(0, 2**32 - 1),
)
def test_pieces_and_gaps_give_what_the_whole_gives(
    pieces: list[tuple[int, int]], frame_rate_hz: float, seed: int
) -> None:
    """pieces: the gap before each, and its length, in samples."""
    random = np.random.default_rng(seed)
    meter = RmsMeter(frame_rate_hz=frame_rate_hz, sample_rate_hz=RATE_HZ, joined_s=JOINED_S)
    whole, spans = np.zeros(0, np.float32), []
    for gap, length in pieces:
        waveform = random.normal(scale=0.1, size=length).astype(np.float32)
        first = whole.size + gap
        meter.add(first, waveform)
        whole = np.concatenate([whole, np.zeros(gap, np.float32), waveform])
        if spans and gap <= JOINED_S * RATE_HZ:
            spans[-1][1] = whole.size
        else:
            spans.append([first, whole.size])
    expected = rms_energy(
        whole,
        times_s=np.arange(int(whole.size / RATE_HZ * frame_rate_hz)) / frame_rate_hz,
        sample_rate_hz=RATE_HZ,
        window_s=1 / frame_rate_hz,
        spans_s=np.array(spans) / RATE_HZ,
    )
    np.testing.assert_array_equal(meter.finish(), expected)


def test_what_is_held_does_not_grow() -> None:
    meter = RmsMeter(frame_rate_hz=25.0, sample_rate_hz=RATE_HZ, joined_s=JOINED_S)
    second = np.ones(RATE_HZ, np.float32)
    for number in range(200):
        meter.add(number * RATE_HZ, second)
        assert meter._held.size <= RATE_HZ
    assert meter.finish() == pytest.approx(np.ones(5000))
