"""The paper's sound descriptor: MFCCs over centred windows of several lengths (Solèr et al. 2016, §3.1).

The numbers are librosa's: each window is what librosa.feature.mfcc gives for it as one single frame. Here all
windows of a length go through one batched transform, some fifty times faster than a call for each.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft

from avlib.arrays import Float32Array, Float64Array
from avlib.config import AudioSettings
from avlib.errors import ParameterError

# Bytes for one batch of windows and its spectrum: small enough to stay near the cache.
_BATCH_BYTES = 4 << 20
# Tapered 8, half a complex128 spectrum 8, half a power 2.
_BYTES_PER_WINDOW_SAMPLE = 18
# Filters of so many neighboring bands are applied together, to no more of the spectrum than they span.
_BANDS_TOGETHER = 10


def mfcc_windows(
    waveform: Float32Array, *, times_s: Float64Array, frame_rate_hz: float, settings: AudioSettings
) -> Float32Array:
    """MFCCs of the windows centred on each time, shortest window first.

    waveform: shape (samples,), float32, mono, in [-1, 1], at settings.sr Hz, sample 0 at time 0; beyond
    either end it is padded with zeros.  times_s: shape (n,), any order.  frame_rate_hz fixes the frame
    duration, of which settings.window_frames are multiples: a window of m frames has
    round(m·sr/frame_rate_hz) samples, from round(t·sr) minus half of that. top_db counts from the loudest
    band of the same window.
    Returns shape (n, len(window_frames)·n_mfcc), float32. Memory beyond input and output stays below 100 MB.
    Raises ParameterError for a waveform that is not mono, a frame rate ≤ 0, a window shorter than one sample,
    an unknown window function.

    Five windows of 13 numbers each, as the paper has them; the first number of a window is its loudness:

    >>> from avlib.config import load_settings
    >>> settings, second = load_settings().describe.audio, np.arange(16_000) / 16_000
    >>> waveform = (second * np.sin(2 * np.pi * 440 * second)).astype(np.float32)
    >>> mfcc = mfcc_windows(waveform, times_s=np.array([0.2, 0.5, 0.8]), frame_rate_hz=25.0, settings=settings)
    >>> mfcc.shape, bool(mfcc[0, 0] < mfcc[1, 0] < mfcc[2, 0])
    ((3, 65), True)
    """
    if waveform.ndim != 1:
        raise ParameterError("waveform", f"an array of shape {waveform.shape}", "a mono waveform of shape (samples,)")
    if not frame_rate_hz > 0:
        raise ParameterError("frame_rate_hz", frame_rate_hz, "above 0")
    from avlib.descriptors.spectra import power, tapered  # numba takes a second: not for who describes nothing

    centres = np.rint(times_s * settings.sr).astype(np.int64)
    mfcc = np.empty((len(centres), len(settings.window_frames), settings.n_mfcc), dtype=np.float32)
    for column, frames in enumerate(settings.window_frames):
        length = round(frames * settings.sr / frame_rate_hz)
        if length < 1:
            raise ParameterError("frame_rate_hz", frame_rate_hz, f"at most sr = {settings.sr}, one sample a frame")
        taper = _window_function(settings.window, length)
        rows = max(1, _BATCH_BYTES // (_BYTES_PER_WINDOW_SAMPLE * length))
        for start in range(0, len(centres), rows):
            windows = tapered(waveform, centres[start : start + rows] - length // 2, taper)
            # In double precision, as librosa does it: a float32 transform's rounding shows wherever a band lies far
            # below the loudest frequency (errors of 0.0007 behind a steep low-pass, of 40 where what is loud lies below
            # fmin).
            spectra = power(scipy.fft.rfft(windows, axis=1, overwrite_x=True))
            mfcc[start : start + rows, column] = _mfcc(spectra, length, settings)
    return mfcc.reshape(len(centres), len(settings.window_frames) * settings.n_mfcc)


def _mfcc(power: Float32Array, length: int, settings: AudioSettings) -> Float32Array:
    """MFCCs of windows of so many samples, each as one frame. Shape (n, bins) → (n, n_mfcc)."""
    if settings.power != 2.0:
        power **= settings.power / 2
    bands = np.empty((len(power), settings.n_mels), dtype=np.float32)
    for together, span, filters in _mel_filters(length, settings):
        bands[:, together] = power[:, span] @ filters
    decibels = 10 * np.log10(np.maximum(bands, np.float32(settings.amin)))
    decibels -= np.float32(10 * np.log10(max(settings.amin, settings.ref)))
    decibels = np.maximum(decibels, decibels.max(axis=1, keepdims=True) - np.float32(settings.top_db))
    mfcc: Float32Array = scipy.fft.dct(decibels, axis=1, type=settings.dct_type, norm=settings.norm)
    mfcc = mfcc[:, : settings.n_mfcc]
    if settings.lifter > 0:
        order = np.arange(1, settings.n_mfcc + 1)
        mfcc *= (1 + settings.lifter / 2 * np.sin(np.pi * order / settings.lifter)).astype(np.float32)
    return mfcc


@lru_cache(maxsize=64)
def _window_function(window: str, length: int) -> Float64Array:
    from librosa import filters  # takes seconds to import: not for who describes nothing

    try:
        return filters.get_window(window, length, fftbins=True)
    except ValueError as error:
        raise ParameterError("window", window, f"a window function scipy.signal.get_window knows ({error})") from None


@lru_cache(maxsize=64)
def _mel_filters(length: int, settings: AudioSettings) -> list[tuple[slice, slice, Float32Array]]:
    """Groups of bands: which, the span of the spectrum outside which they are zero, and there their filters.

    Filters are of shape (width of the span, bands), that is transposed.
    """
    from librosa import filters

    bands: Float32Array = filters.mel(
        sr=settings.sr,
        n_fft=length,
        n_mels=settings.n_mels,
        fmin=settings.fmin,
        fmax=settings.fmax,
        htk=settings.htk,
        norm=settings.mel_norm,
        dtype=np.float32,
    )
    groups = []
    for first in range(0, settings.n_mels, _BANDS_TOGETHER):
        group = bands[first : first + _BANDS_TOGETHER]
        heard = np.flatnonzero(group.any(axis=0))
        span = slice(int(heard[0]), int(heard[-1]) + 1) if heard.size else slice(0, 0)
        groups.append((slice(first, first + len(group)), span, np.ascontiguousarray(group[:, span].T)))
    return groups
