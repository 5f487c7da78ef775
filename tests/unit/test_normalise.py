"""Statistics exact to the bit in any order, and normalisation against its definition."""

from __future__ import annotations

import statistics
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avlib.descriptors import (
    DescriptorStats,
    ExactSums,
    l2_normalise,
    normalise_audio,
    normalise_visual,
    standardise,
)
from avlib.errors import ParameterError

SAMPLES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 40), st.just(3)),
    elements=st.floats(-(2.0**19), 2.0**19, width=32),
)


def sums_of(*batches: np.ndarray) -> ExactSums:
    sums = ExactSums.empty(3)
    for batch in batches:
        sums.update(batch)
    return sums


@given(SAMPLES, st.randoms(use_true_random=False), st.integers(1, 5))
def test_same_bits_for_any_order_and_partitioning(samples, random, parts):
    order = list(range(len(samples)))
    random.shuffle(order)
    merged = ExactSums.empty(3)
    for part in np.array_split(samples[order], parts):
        merged.merge(ExactSums.from_strings(sums_of(part).to_strings()))
    assert merged == sums_of(samples)
    one, other = merged.stats(), sums_of(samples).stats()
    assert one.mean.tobytes() == other.mean.tobytes()
    assert one.deviation.tobytes() == other.deviation.tobytes()
    assert one.count == len(samples)


@given(SAMPLES)
def test_equals_exact_arithmetic(samples):
    stats = sums_of(samples).stats()
    for column in range(3):
        units = [Fraction(round(Fraction(float(x)) * 2**20), 2**20) for x in samples[:, column]]
        assert stats.mean[column] == float(sum(units) / len(units))
        assert stats.deviation[column] == pytest.approx(float(statistics.pvariance(units)) ** 0.5, rel=1e-12)


def test_equals_numpy_on_many_rows():
    samples = (np.random.default_rng(0).normal(size=(40_000, 3)) * [1, 50, 2000] - 600).astype(np.float32)
    stats = sums_of(samples).stats()
    np.testing.assert_allclose(stats.mean, samples.mean(0, dtype=np.float64), rtol=1e-8)
    np.testing.assert_allclose(stats.deviation, samples.std(0, dtype=np.float64), rtol=1e-6)


def test_largest_values_do_not_overflow():
    largest = np.nextafter(np.float32(2**20), np.float32(0))
    samples = np.full((50_000, 3), largest) * np.array([1, -1, 1], np.float32)
    stats = sums_of(samples).stats()
    np.testing.assert_array_equal(stats.mean, [largest, -largest, largest])
    np.testing.assert_array_equal(stats.deviation, 0)


def test_no_samples():
    stats = ExactSums.empty(2).stats()
    assert stats.count == 0 and not stats.mean.any() and not stats.deviation.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**20])
def test_refuses_values_that_cannot_be_summed(value):
    with pytest.raises(ParameterError, match="batch"):
        ExactSums.empty(1).update(np.array([[value]], np.float32))


def test_refuses_shapes_that_do_not_fit():
    with pytest.raises(ParameterError, match="batch"):
        ExactSums.empty(2).update(np.zeros((4, 3), np.float32))
    with pytest.raises(ParameterError, match="other"):
        ExactSums.empty(2).merge(ExactSums.empty(3))
    with pytest.raises(ParameterError, match="values"):
        ExactSums.from_strings(["1", "2"])
    with pytest.raises(ParameterError, match="x"):
        standardise(np.zeros((4, 3), np.float32), mean=np.zeros(2), deviation=np.ones(2))


def test_standardise():
    x = np.array([[1, 5, 7], [3, 5, 9]], np.float32)
    found = standardise(x, mean=np.array([2.0, 5.0, 0.0]), deviation=np.array([0.5, 0.0, 2.0]))
    np.testing.assert_array_equal(found, np.array([[-2, 0, 3.5], [2, 0, 4.5]], np.float32))


@given(hnp.arrays(np.float32, (6, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_rows_have_length_one_or_stay_zero(x):
    found = l2_normalise(x)
    assert found.dtype == np.float32
    zero = ~x.any(axis=1)
    assert not found[zero].any()
    np.testing.assert_allclose(np.linalg.norm(found[~zero].astype(np.float64), axis=1), 1, rtol=1e-6)


def test_visual_and_audio():
    x = np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32) * [1, 10, 100]
    x = x.astype(np.float32)
    stats = sums_of(x).stats()
    expected = (x - x.mean(0)) / x.std(0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(normalise_audio(x, stats), expected, atol=1e-5)
    np.testing.assert_allclose(normalise_visual(x), x / np.linalg.norm(x, axis=1, keepdims=True), atol=1e-6)
    constant = DescriptorStats(np.ones(3), np.zeros(3), 9)
    assert not normalise_audio(np.ones((2, 3), np.float32), constant).any()


def test_torch_is_not_imported_for_sound():
    code = (
        "import sys; from avlib.descriptors import mfcc_windows, rms_energy, standardise, HOG_COLOR;"
        "from avlib.descriptors import load_visual_descriptor, resolve_weights;"
        "load_visual_descriptor(HOG_COLOR, resolve_weights(HOG_COLOR, 'DEFAULT'));"
        "sys.exit('torch' in sys.modules or 'pyspark' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
