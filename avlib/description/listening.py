"""What the sound alone decides: which frames are loud (Solèr et al. 2016, §3.1), and whether there are slices.

The sound streams by once. That of a short video is kept, for its descriptors; of a long one only the RMS stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from avlib.config import DescribeSettings
from avlib.description.outcome import Problem
from avlib.descriptors import RmsMeter, loud_frames
from avlib.errors import MediaError
from avlib.media import JITTER_S, IsolatedVideo, MediaInfo, SoundPiece, place, spans_s


@dataclass(frozen=True)
class Frames:
    """Loud frames of a video that are on the stride. All of shape (n,).

    indexes: on the grid before the stride.  times_s: from the container's start.  rms: in [0, 1].
    """

    indexes: Int64Array
    times_s: Float64Array
    rms: Float32Array

    def between(self, start_s: float, end_s: float) -> Frames:
        """Those in [start_s, end_s)."""
        return self.where((self.times_s >= start_s) & (self.times_s < end_s))

    def where(self, chosen: BoolArray) -> Frames:
        """Those for which `chosen`, shape (n,), is true."""
        return Frames(self.indexes[chosen], self.times_s[chosen], self.rms[chosen])


@dataclass(frozen=True)
class Heard:
    """The sound of a video.

    frames: the loud ones.  spans_s: shape (m, 2), where there is sound.  waveform: all of it, shape (n,), from time 0;
    None for a video longer than describe.slice_s.  goes_back: see SoundReader.  problem: what is missing of it, if
    anything.
    """

    frames: Frames
    spans_s: Float64Array
    waveform: Float32Array | None
    goes_back: bool
    problem: Problem | None


def listen(video: IsolatedVideo, info: MediaInfo, settings: DescribeSettings) -> Heard:
    """Read the sound of a video once. What comes before damage counts. Raises MediaError where there is none."""
    rate_hz = settings.audio.sr
    meter = RmsMeter(frame_rate_hz=settings.frame_rate_hz, sample_rate_hz=rate_hz, joined_s=JITTER_S)
    places: list[tuple[int, int]] = []
    kept: list[SoundPiece] | None = []
    sound = video.sound(info, sample_rate_hz=rate_hz)
    problem = None
    try:
        for piece in sound:
            meter.add(piece.first, piece.waveform[0])
            places.append((piece.first, piece.end))
            if kept is not None:
                kept.append(piece)
            if piece.end > settings.slice_s * rate_hz:
                kept = None
        if sound.damage is not None:
            problem = Problem("damaged", sound.damage)
    except MediaError as error:
        if not places:
            raise
        problem = Problem.of(error)
    waveform = None if kept is None else place(kept, channels=1, first=0, samples=places[-1][1])[0]
    frames = loud(meter.finish(), settings=settings)
    return Heard(frames, spans_s(places, sample_rate_hz=rate_hz), waveform, sound.goes_back, problem)


def loud(rms: Float32Array, *, settings: DescribeSettings) -> Frames:
    """The frames whose RMS is above the median of all frames that have sound; of these, every n-th of the grid.

    rms: shape (n,), of all frames of a video, NaN where there is no sound.
    """
    indexes = np.arange(rms.size, dtype=np.int64)
    on_stride: BoolArray = indexes % settings.frame_stride == 0
    kept = loud_frames(rms) & on_stride
    return Frames(indexes[kept], indexes[kept] / settings.frame_rate_hz, rms[kept])
