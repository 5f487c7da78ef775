"""Where the sound around a time begins and ends, by energy and novelty: short for a bark, long for waves."""

from __future__ import annotations

import numpy as np
import scipy.fft

from avlib.arrays import BoolArray, Float32Array, Float64Array
from avlib.config import TrackSettings
from avlib.descriptors import log_mel_track

RATE_HZ = 16_000

REACH_S = 1.5
"""So much sound either side of a moment says whether another sound begins there."""

_TRACK = TrackSettings()
_HZ = _TRACK.frames_hz
_SHAPE = slice(1, 14)  # cepstral coefficients: the shape of the spectrum without its loudness
_LEAST_VARIANCE = 1.0  # dB², so that digital silence is no perfect sound
_LEAST_FRAMES = 10
_NOVEL = 3.5  # nats a frame; picked on the demo's sounds of seeds 1 and 2
_NEAR_S = 0.3  # the loudest so near to the time is the event's level
_BELOW_DB = 30.0  # quieter than that level by so much is silence,
_ABOVE_FLOOR_DB = 6.0  # and so is what is hardly louder than the quietest tenth,
_CONTRAST_DB = 12.0  # unless that is hardly quieter than the event itself
_PAUSE_S = 0.75  # a shorter silence is part of the event


def event_around(waveform: Float32Array, *, time_s: float) -> tuple[float, float]:
    """Begin and end of the sound event around a time, in seconds from the waveform's first sample.

    waveform: shape (samples,), mono, at RATE_HZ.  time_s: within it. The event begins and ends where the spectrum is
    other after than before (the gain in likelihood of two Gaussians, either side, over one), and within that where the
    sound falls silent for more than a moment. What lies beyond the waveform is unknown: an event may reach to its ends.
    """
    track = log_mel_track(waveform, sample_rate_hz=RATE_HZ, settings=_TRACK)
    at = min(max(round(time_s * _HZ), 0), len(track) - 1)
    begin, end = _segment(novelty(track), at)
    begin, end = _sounding(track, at, begin, end)
    length_s = len(waveform) / RATE_HZ
    return min(begin / _HZ, time_s), max(min(end / _HZ, length_s), time_s)


def novelty(track: Float32Array) -> Float64Array:
    """How other the sound is after each frame's beginning than before, in nats a frame.

    track: shape (n, bands), log-mel, dB. Returns shape (n,); 0 where there is too little sound on either side.
    """
    shape = scipy.fft.dct(track, axis=1, norm="ortho")[:, _SHAPE].astype(np.float64)
    sums = np.concatenate([np.zeros((1, shape.shape[1])), shape.cumsum(axis=0)])
    squares = np.concatenate([np.zeros((1, shape.shape[1])), np.square(shape).cumsum(axis=0)])
    at = np.arange(len(track))
    reach = round(REACH_S * _HZ)
    left, right = np.maximum(at - reach, 0), np.minimum(at + reach, len(track))

    def spread(begin: np.ndarray, end: np.ndarray) -> Float64Array:
        """Frames times the log of their variance, summed over coefficients."""
        count = np.maximum(end - begin, 1)[:, None]
        mean = (sums[end] - sums[begin]) / count
        variance = np.maximum((squares[end] - squares[begin]) / count - mean**2, _LEAST_VARIANCE)
        total: Float64Array = (count * np.log(variance)).sum(axis=1)
        return total

    gain = (spread(left, right) - spread(left, at) - spread(at, right)) / np.maximum(right - left, 1)
    enough: BoolArray = np.minimum(at - left, right - at) >= _LEAST_FRAMES
    return np.where(enough, gain, 0.0)


def _segment(novel: Float64Array, at: int) -> tuple[int, int]:
    """The frames [begin, end) between the novel moments around a frame."""
    near = round(REACH_S * _HZ) // 2
    highest = np.array([novel[max(0, one - near) : one + near + 1].max() for one in range(len(novel))])
    moments = np.flatnonzero((novel == highest) & (novel > _NOVEL))
    before, after = moments[moments <= at], moments[moments > at]
    return int(before[-1]) if before.size else 0, int(after[0]) if after.size else len(novel)


def _sounding(track: Float32Array, at: int, begin: int, end: int) -> tuple[int, int]:
    """The part of the frames [begin, end) around a frame that is not cut off by silence."""
    level = 10 * np.log10(np.power(10.0, track[begin:end].astype(np.float64) / 10).sum(axis=1))
    near, at = round(_NEAR_S * _HZ), at - begin
    loudest = level[max(0, at - near) : at + near + 1].max()
    floor = np.quantile(level, 0.1)
    if loudest - floor < _CONTRAST_DB:
        return begin, end
    heard = np.flatnonzero(level > max(loudest - _BELOW_DB, floor + _ABOVE_FLOOR_DB))
    pauses = np.flatnonzero(np.diff(heard) > _PAUSE_S * _HZ)
    runs = np.split(heard, pauses + 1)
    nearest = min(runs, key=lambda run: max(run[0] - at, at - run[-1], 0))
    return begin + int(nearest[0]), begin + int(nearest[-1]) + 1
