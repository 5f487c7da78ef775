"""Sound as runs: stretches of decoded frames without a break, each placed by its time stamps.

Containers stamp frames with rounding (1 ms in Matroska) and jitter, so frames are joined end to end, and a
run as a whole is placed by the median of what its stamps say. A stamp too far from where the previous frame
ended is a real gap (or an overlap), and starts a new run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from avlib.arrays import Float32Array
from avlib.media.probe import MediaInfo
from avlib.media.reading import Damage, decoded_frames, stamp_s

JITTER_S = 0.04
"""Stamps that stray less than this are joined: two AAC frames, one Opus frame or two."""

_JITTER_AFTER_LOSS_S = 0.002
_STAMP_SLACK_S = 10.0
_SETTLE_S = 0.5


@dataclass(frozen=True)
class SoundRun:
    """Sound without a break: waveform of shape (channels, n), its sample 0 at start_s."""

    start_s: float
    end_s: float
    waveform: Float32Array


@dataclass(frozen=True)
class SoundFormat:
    """What runs are converted to. Surround sound is mixed so that no sum of channels exceeds 1."""

    sample_rate_hz: int
    channels: int

    def resampler(self) -> AudioResampler:
        """A fresh converter to planar float32, for one run."""
        layout = "mono" if self.channels == 1 else "stereo"
        mix = {"rematrix_maxval": "1.0"}
        return AudioResampler(format="fltp", layout=layout, rate=self.sample_rate_hz, options=mix)


class _GrowingRun:
    def __init__(self, frame: AudioFrame, *, start_s: float, target: SoundFormat) -> None:
        self._shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        self._first_s = start_s
        self._starts_s: list[float] = []  # where the run begins, according to each frame
        self._samples = 0
        self._resampler = target.resampler()
        self._pieces: list[Float32Array] = []

    @property
    def end_s(self) -> float:
        return self._first_s + self._samples / self._shape[0]

    def continues(self, frame: AudioFrame, stamp_s: float, *, tolerance_s: float) -> bool:
        shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        return shape == self._shape and abs(stamp_s - self.end_s) <= tolerance_s

    def add(self, frame: AudioFrame, stamp_s: float) -> None:
        self._starts_s.append(stamp_s - self._samples / self._shape[0])
        self._samples += frame.samples
        frame.pts = None  # the resampler must not act on stamps: placing is done here
        self._take(self._resampler.resample(frame))

    def finish(self) -> SoundRun:
        self._take(self._resampler.resample(None))
        start_s = float(np.median(self._starts_s))
        waveform = np.concatenate(self._pieces, axis=1)
        return SoundRun(start_s, start_s + self._samples / self._shape[0], waveform)

    def _take(self, pieces: Sequence[AudioFrame | None]) -> None:
        # A resampler that passes frames through answers None when flushed.
        self._pieces += [piece.to_ndarray().astype(np.float32, copy=False) for piece in pieces if piece is not None]


def sound_runs(
    container: InputContainer,
    stream: AudioStream,
    info: MediaInfo,
    damage: Damage,
    *,
    target: SoundFormat,
    window_s: tuple[float, float] = (0.0, float("inf")),
) -> Iterator[SoundRun]:
    """Decode the sound that touches window_s (start, end), from where the container stands, in file order."""
    run: _GrowingRun | None = None
    losses = 0
    end_s = 0.0  # of the frame before
    latest_s = (info.duration_s or float("inf")) + _STAMP_SLACK_S
    for frame in decoded_frames(container, stream, info, damage):
        if not isinstance(frame, AudioFrame) or not frame.samples:
            continue
        start_s = stamp_s(frame, stream, info, default_s=end_s)
        end_s = start_s + frame.samples / frame.sample_rate
        if end_s <= window_s[0]:
            continue
        if start_s > window_s[1] + _SETTLE_S:  # read on a little, so that the median has stamps to go by
            break
        tolerance_s = JITTER_S if damage.losses == losses else _JITTER_AFTER_LOSS_S
        losses = damage.losses
        if run is not None and not run.continues(frame, start_s, tolerance_s=tolerance_s):
            if start_s > latest_s:
                damage.lose(info.duration_s)  # a broken stamp would make hours of zeros
                continue
            yield run.finish()
            run = None
        if run is None:
            run = _GrowingRun(frame, start_s=start_s, target=target)
        run.add(frame, start_s)
    if run is not None:
        yield run.finish()


def place(runs: Sequence[SoundRun], *, target: SoundFormat, start_s: float, samples: int) -> Float32Array:
    """Lay runs on a grid that begins at start_s; zeros where there is none. Shape (channels, samples)."""
    waveform = np.zeros((target.channels, samples), np.float32)
    for run in runs:
        first = round((run.start_s - start_s) * target.sample_rate_hz)
        begin, end = max(first, 0), min(first + run.waveform.shape[1], samples)
        if begin < end:
            waveform[:, begin:end] = run.waveform[:, begin - first : end - first]
    return np.clip(waveform, -1.0, 1.0, out=waveform)
