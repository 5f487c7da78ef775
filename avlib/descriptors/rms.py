"""Loudness of a video's frames: which of them are worth describing (Solèr et al. 2016, §3.1)."""

from __future__ import annotations

import numpy as np

from avlib.arrays import BoolArray, Float32Array, Float64Array
from avlib.errors import ParameterError

# Squares are summed in stretches of at most this many samples, so that an hour of sound needs 8 MB, not 460.
_STRETCH = 1 << 20


def rms_energy(
    waveform: Float32Array,
    *,
    times_s: Float64Array,
    sample_rate_hz: int,
    window_s: float,
    spans_s: Float64Array | None = None,
) -> Float32Array:
    """Root-mean-square energy in a window centred on each time.

    waveform: shape (samples,), mono, in [-1, 1], sample 0 at time 0.  times_s: shape (n,), ascending.
    spans_s: shape (m, 2), ascending and disjoint stretches [start, end) that really have sound; default: all
    of it.
    Returns shape (n,), in the waveform's units; NaN where the centre lies outside every stretch. At either
    end of a stretch the window is cut, not padded. Every window is summed by itself in float64 (time is
    linear in the samples under windows), so silence is exactly 0 however loud the sound before it.
    Raises ParameterError if window_s is shorter than one sample or times_s does not ascend.
    """
    length = round(window_s * sample_rate_hz)
    if length < 1:
        raise ParameterError("window_s", window_s, f"at least one sample (1/{sample_rate_hz} s)")
    if np.any(np.diff(times_s) < 0):
        raise ParameterError("times_s", "an array that descends", "ascending times")
    if waveform.ndim != 1:
        raise ParameterError("waveform", f"an array of shape {waveform.shape}", "a mono waveform of shape (samples,)")

    spans = np.array([[0, waveform.size]]) if spans_s is None else np.rint(spans_s * sample_rate_hz)
    spans = np.clip(spans.astype(np.int64).reshape(-1, 2), 0, waveform.size)
    spans = spans[spans[:, 0] < spans[:, 1]]
    rms = np.full(len(times_s), np.nan, dtype=np.float32)
    if not len(spans):
        return rms
    centres = np.rint(times_s * sample_rate_hz).astype(np.int64)
    span = spans[np.maximum(np.searchsorted(spans[:, 0], centres, side="right") - 1, 0)]
    sounding = np.flatnonzero((span[:, 0] <= centres) & (centres < span[:, 1]))
    first = np.maximum(centres - length // 2, span[:, 0])[sounding]
    last = np.minimum(centres - length // 2 + length, span[:, 1])[sounding]
    last = np.maximum(last, first + 1)  # a window of one sample is the centre itself, never empty

    for group in np.split(np.arange(sounding.size), np.flatnonzero(np.diff(first // _STRETCH)) + 1):
        if group.size:
            rms[sounding[group]] = _window_rms(waveform, first[group], last[group])
    return rms


def _window_rms(waveform: Float32Array, first: np.ndarray, last: np.ndarray) -> Float64Array:
    """RMS of waveform[first:last] for each pair; first ascends and first < last."""
    origin = first[0]
    squares = np.square(waveform[origin : last.max()], dtype=np.float64)
    squares = np.append(squares, 0.0)  # reduceat's indexes must lie inside, and the last window ends at the end
    pairs = np.stack([first - origin, last - origin], axis=1).ravel()
    sums = np.add.reduceat(squares, pairs)[::2]  # the odd ones are what lies between two windows
    root: Float64Array = np.sqrt(sums / (last - first))
    return root


def loud_frames(rms: Float32Array) -> BoolArray:
    """Which frames are louder than their video's median.

    rms: shape (n,), all frames of one video, NaN where there is no sound. Returns shape (n,): True where the
    frame's RMS is above the median of the finite ones; a frame without sound is never loud, nor is one of an
    even silence.
    """
    finite = np.isfinite(rms)
    loud = np.zeros(rms.shape, dtype=np.bool_)
    if finite.any():
        loud[finite] = rms[finite] > np.median(rms[finite])
    return loud
