"""RMS against a direct sum over every window; loud frames against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avlib.descriptors import loud_frames, rms_energy
from avlib.descriptors import rms as rms_module
from avlib.errors import ParameterError

RATE_HZ = 1000


def direct(waveform, times_s, window_s, spans_s=None):
    """The definition, one window at a time."""
    length = round(window_s * RATE_HZ)
    spans = [(0, len(waveform))] if spans_s is None else np.rint(np.asarray(spans_s) * RATE_HZ).astype(int)
    result = []
    for time_s in times_s:
        centre, value = round(time_s * RATE_HZ), np.nan
        for start, end in spans:
            if start <= centre < min(end, len(waveform)):
                first = centre - length // 2
                window = waveform[max(first, start) : max(min(first + length, end), centre + 1)]
                value = np.sqrt(np.mean(np.square(window, dtype=np.float64)))
        result.append(value)
    return np.array(result, dtype=np.float32)


@given(
    seed=st.integers(0, 1000),
    samples=st.integers(1, 400),
    window=st.integers(1, 120),
    frames=st.integers(0, 60),
    stretch=st.sampled_from([1, 7, 64, 1 << 22]),
)
def test_equals_the_direct_sum(seed, samples, window, frames, stretch):
    rng = np.random.default_rng(seed)
    waveform = (rng.normal(size=samples) * 10.0 ** rng.integers(-6, 1, samples)).astype(np.float32)
    times_s = np.sort(rng.uniform(-0.05, samples / RATE_HZ + 0.05, frames))
    cuts = np.sort(rng.choice(samples + 20, size=min(4, samples), replace=False)) / RATE_HZ
    spans_s = cuts[: len(cuts) // 2 * 2].reshape(-1, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rms_module, "_STRETCH", stretch)
        for spans in (None, spans_s):
            found = rms_energy(
                waveform, times_s=times_s, sample_rate_hz=RATE_HZ, window_s=window / RATE_HZ, spans_s=spans
            )
            expected = direct(waveform, times_s, window / RATE_HZ, spans)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_silence_after_loud_sound_is_exactly_zero_and_quiet_stays_exact():
    loud, silence = np.ones(50_000, np.float32), np.zeros(1000, np.float32)
    quiet = np.full(1000, 1e-8, np.float32)
    times_s = np.array([1.0, 50.5, 51.5])
    found = rms_energy(np.concatenate([loud, silence, quiet]), times_s=times_s, sample_rate_hz=RATE_HZ, window_s=0.04)
    assert found[0] == 1 and found[1] == 0
    assert found[2] == pytest.approx(1e-8, rel=1e-6)


def test_frames_without_sound_have_no_rms():
    spans_s = np.array([[0.2, 0.4], [0.6, 0.8]])
    times_s = np.array([0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.799, 0.8, 5.0])
    waveform = np.zeros(1000, np.float32)
    waveform[200:400] = waveform[600:800] = 0.5
    found = rms_energy(waveform, times_s=times_s, sample_rate_hz=RATE_HZ, window_s=0.04, spans_s=spans_s)
    assert np.isnan(found).tolist() == [True, False, False, True, True, False, False, True, True]
    # Cut at the ends of the stretch, not padded with the silence beyond.
    np.testing.assert_array_equal(found[~np.isnan(found)], np.float32(0.5))


def test_no_sound_at_all_and_no_frames():
    empty = np.zeros(0, np.float32)
    assert np.isnan(rms_energy(empty, times_s=np.array([0.0, 1.0]), sample_rate_hz=10, window_s=0.2)).all()
    assert rms_energy(empty, times_s=np.zeros(0), sample_rate_hz=10, window_s=0.2).shape == (0,)
    no_spans = np.zeros((0, 2))
    sounding = rms_energy(np.ones(10, np.float32), times_s=np.zeros(1), sample_rate_hz=10, window_s=1, spans_s=no_spans)
    assert np.isnan(sounding).all()


@pytest.mark.parametrize(
    ("change", "parameter"),
    [
        ({"window_s": 0.0001}, "window_s"),
        ({"times_s": np.array([1.0, 0.0])}, "times_s"),
        ({"waveform": np.zeros((2, 5), np.float32)}, "waveform"),
    ],
)
def test_refuses(change, parameter):
    arguments = {"waveform": np.zeros(5, np.float32), "times_s": np.zeros(1), "window_s": 0.1} | change
    with pytest.raises(ParameterError, match=parameter):
        rms_energy(arguments.pop("waveform"), sample_rate_hz=RATE_HZ, **arguments)


def test_loud_means_above_the_median_of_the_frames_with_sound():
    rms = np.array([np.nan, 0.1, 0.4, 0.2, np.nan, 0.3, 0.2], np.float32)
    assert loud_frames(rms).tolist() == [False, False, True, False, False, True, False]
    assert not loud_frames(np.zeros(5, np.float32)).any()
    assert not loud_frames(np.full(3, np.nan, np.float32)).any()
    assert loud_frames(np.zeros(0, np.float32)).shape == (0,)


@given(st.lists(st.one_of(st.floats(0, 1, width=32), st.just(float("nan"))), max_size=50))
def test_at_most_half_of_the_frames_are_loud(values):
    rms = np.array(values, np.float32)
    loud = loud_frames(rms)
    assert loud.sum() <= np.count_nonzero(~np.isnan(rms)) / 2
    assert not loud[np.isnan(rms)].any()
