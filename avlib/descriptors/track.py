"""Sound as a track of short frames, each a row of log-mel bands: what longer descriptors are made of.

Frames lie on a grid that begins at time 0, so that a stretch cut out on the grid has the very frames of the whole.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft

from avlib.arrays import Float32Array, Float64Array
from avlib.config import TrackSettings
from avlib.errors import ParameterError

_ROWS = 512  # frames transformed together: some 10 MB


def log_mel_track(waveform: Float32Array, *, sample_rate_hz: int, settings: TrackSettings) -> Float32Array:
    """Log-mel energies of a sound, in decibels.

    waveform: shape (samples,), mono, in [-1, 1], sample 0 at time 0.
    Returns shape (1 + samples // hop, n_mels), hop = sample_rate_hz / settings.frames_hz samples: frame k is centred on
    sample k · hop; beyond either end the sound is zero. The numbers are those of librosa.feature.melspectrogram
    (centered, pad_mode "constant") and power_to_db without top_db.
    Raises ParameterError for a waveform that is not mono, or a rate that frames_hz does not divide.
    """
    if waveform.ndim != 1:
        raise ParameterError("waveform", f"an array of shape {waveform.shape}", "a mono waveform of shape (samples,)")
    if sample_rate_hz % settings.frames_hz:
        raise ParameterError("frames_hz", settings.frames_hz, f"a divisor of the sample rate, {sample_rate_hz} Hz")
    hop, length = sample_rate_hz // settings.frames_hz, round(settings.frame_s * sample_rate_hz)
    taper, filters = _taper(length), _mel_filters(length, sample_rate_hz, settings)
    track = np.empty((1 + waveform.size // hop, settings.n_mels), dtype=np.float32)
    for start in range(0, len(track), _ROWS):
        frames = _frames(waveform, start * hop - length // 2, rows=min(_ROWS, len(track) - start), hop=hop, taper=taper)
        # In double precision, as in mfcc.py: else the rounding of what is loud shows in bands far below it.
        spectrum = scipy.fft.rfft(frames, axis=1, overwrite_x=True)
        power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        track[start : start + _ROWS] = 10 * np.log10(np.maximum(power @ filters, np.float32(settings.amin)))
    return track


def _frames(waveform: Float32Array, first: int, *, rows: int, hop: int, taper: Float64Array) -> Float64Array:
    """Frames under the taper, the first of them from sample `first` on, which may be negative. Shape (rows, length)."""
    end = first + (rows - 1) * hop + taper.size
    heard = waveform[max(first, 0) : end]
    padded = np.pad(heard, (max(-first, 0), max(end - waveform.size, 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, taper.size)[::hop] * taper


@lru_cache(maxsize=8)
def _taper(length: int) -> Float64Array:
    from librosa import filters  # takes seconds to import: not for who describes nothing

    return filters.get_window("hann", length, fftbins=True)


@lru_cache(maxsize=8)
def _mel_filters(length: int, sample_rate_hz: int, settings: TrackSettings) -> Float32Array:
    """Shape (1 + length // 2, n_mels)."""
    from librosa import filters

    bands: Float32Array = filters.mel(
        sr=sample_rate_hz, n_fft=length, n_mels=settings.n_mels, fmin=settings.fmin, fmax=settings.fmax
    )
    return np.ascontiguousarray(bands.T)
