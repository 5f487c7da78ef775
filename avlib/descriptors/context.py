"""audio_context: what a sound is like over the seconds around a sample, not only in its frame.

MFCCs of less than half a second say little about which sound is heard: a clock's tick and a dog's bark are both clicks.
Over a second either way their mean, their spread, and those of their slopes tell more.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from avlib.arrays import Float32Array, Float64Array
from avlib.config import ContextSettings
from avlib.descriptors.track import log_mel_track


def audio_context(
    waveform: Float32Array,
    *,
    times_s: Float64Array,
    sounding_s: tuple[float, float],
    sample_rate_hz: int,
    settings: ContextSettings,
) -> Float32Array:
    """Mean and deviation of MFCCs and of their slopes over the frames at most span_s from each time.

    waveform: shape (samples,), mono, in [-1, 1], sample 0 at time 0.  times_s: shape (n,), any order.
    sounding_s: (start, end) of all the sound there is, which may lie beyond the waveform: frames centred outside count
    for nothing, so that a sound's ends are no part of how it sounds. Where there are none the numbers are 0.
    Returns shape (n, 4 · n_mfcc), float32: means of the MFCCs, of their slopes, then the deviations of both.
    Slopes are librosa.feature.delta's, a line through slope_frames frames (mode "nearest").
    """
    mfcc = scipy.fft.dct(
        log_mel_track(waveform, sample_rate_hz=sample_rate_hz, settings=settings), axis=1, norm="ortho"
    )[:, : settings.n_mfcc]
    first = max(int(np.ceil(sounding_s[0] * settings.frames_hz)), 0)
    end = min(int(np.ceil(sounding_s[1] * settings.frames_hz)), len(mfcc))
    heard = mfcc[first:end].astype(np.float64)
    if not len(heard):
        return np.zeros((len(times_s), 4 * settings.n_mfcc), np.float32)
    rows = np.concatenate([heard, _slopes(heard, settings.slope_frames)], axis=1)
    centre = rows.mean(axis=0)  # sums of what is near 0 lose no digits
    rows -= centre
    zero = np.zeros((1, rows.shape[1]))
    sums, squares = (np.concatenate([zero, np.cumsum(values, axis=0)]) for values in (rows, rows**2))
    at = np.rint(times_s * settings.frames_hz).astype(np.int64) - first
    reach = round(settings.span_s * settings.frames_hz)
    begin, after = (np.clip(edge, 0, len(rows)) for edge in (at - reach, at + reach + 1))
    count = np.maximum(after - begin, 1)[:, None]
    mean = (sums[after] - sums[begin]) / count
    variance = np.maximum((squares[after] - squares[begin]) / count - mean**2, 0)
    some = (after > begin)[:, None]
    return np.where(some, np.concatenate([mean + centre, np.sqrt(variance)], axis=1), 0).astype(np.float32)


def _slopes(track: Float64Array, width: int) -> Float64Array:
    """Slope of the line through `width` frames around each, a frame. Shape (n, d) → (n, d)."""
    half = width // 2
    padded = np.pad(track, ((half, half), (0, 0)), mode="edge")
    steps = range(1, half + 1)
    ahead = sum(
        k * (padded[half + k : half + k + len(track)] - padded[half - k : half - k + len(track)]) for k in steps
    )
    slopes: Float64Array = np.asarray(ahead) / (2 * sum(k * k for k in steps))
    return slopes
