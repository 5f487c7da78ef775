"""The RMS of a video's frames while its sound streams by, in memory that does not grow with it."""

from __future__ import annotations

import numpy as np

from avlib.arrays import Float32Array, Int64Array
from avlib.descriptors.rms import rms_energy


class RmsMeter:
    """Gives what `rms_energy` gives for the grid of frames, window_s = one frame duration, from sound in pieces.

    Pieces ascend and do not overlap; one that begins within joined_s after the last goes on with it (zeros between),
    a later one begins another stretch of sound.
    """

    def __init__(self, *, frame_rate_hz: float, sample_rate_hz: int, joined_s: float) -> None:
        self._frame_rate_hz = frame_rate_hz
        self._rate_hz = sample_rate_hz
        self._joined = round(joined_s * sample_rate_hz)
        self._length = round(sample_rate_hz / frame_rate_hz)
        self._held = np.zeros(0, np.float32)  # the stretch so far, from where windows still need it
        self._held_first = 0
        self._measured: list[Float32Array] = []
        self._frames = 0  # measured so far

    def add(self, first: int, waveform: Float32Array) -> None:
        """Sound from sample `first` on. waveform: shape (n,), mono."""
        gap = first - self._end
        if gap > self._joined or not self._held.size:
            self._measure(self._end)
            self._held, self._held_first = waveform, first
        else:
            self._held = np.concatenate([self._held, np.zeros(gap, np.float32), waveform])
        self._measure(self._end - self._length)

    def finish(self) -> Float32Array:
        """RMS of every frame up to the end of the sound, shape (n,); NaN where there is no sound. Once only."""
        self._measure(self._end)
        rms = np.concatenate([*self._measured, np.zeros(0, np.float32)])
        return rms[: int(self._end / self._rate_hz * self._frame_rate_hz)]

    @property
    def _end(self) -> int:
        return self._held_first + self._held.size

    def _measure(self, end: int) -> None:
        """Measure the frames centred before sample `end`, and let go of the sound they needed."""
        centres = self._centres_before(end)
        if centres.size:
            times_s = (centres - self._held_first) / self._rate_hz
            self._measured.append(
                rms_energy(
                    self._held,
                    times_s=times_s,
                    sample_rate_hz=self._rate_hz,
                    window_s=1 / self._frame_rate_hz,
                    spans_s=np.array([[0, self._held.size / self._rate_hz]]),
                )
            )
            self._frames += centres.size
        spare = min(max(end - self._length - self._held_first, 0), self._held.size)
        self._held, self._held_first = self._held[spare:], self._held_first + spare

    def _centres_before(self, end: int) -> Int64Array:
        last = int(np.ceil(max(end, 0) / self._rate_hz * self._frame_rate_hz)) + 1
        indexes = np.arange(self._frames, max(last, self._frames))
        centres = np.rint(indexes / self._frame_rate_hz * self._rate_hz).astype(np.int64)
        return centres[centres < end]
