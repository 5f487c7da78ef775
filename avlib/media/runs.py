"""Sound as runs: stretches of decoded frames without a break, each placed by its time stamps, streamed in pieces.

Containers stamp frames with rounding (1 ms in Matroska) and jitter, so frames are joined end to end, and a run as a
whole is placed by the median of what the stamps of its first seconds say. A stamp too far from where the previous
frame ended is a real gap (or an overlap), and starts a new run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import ArgumentError
from av.filter.graph import Graph

from avlib.arrays import Float32Array, Float64Array
from avlib.media.probe import MediaInfo
from avlib.media.reading import STAMP_SLACK_S, Damage, decoded_frames, stamp_s

JITTER_S = 0.04
"""Stamps that stray less than this are joined: two AAC frames, one Opus frame or two."""

_JITTER_AFTER_LOSS_S = 0.002
_GOES_BACK_S = 1.0  # by less stamps go back where they are only inexact
_PLACED_BY_S = 10.0
_PIECE_S = 1.0
_READ_ON_S = 0.5


@dataclass(frozen=True)
class SoundFormat:
    """What sound is converted to. Surround sound is mixed so that no sum of channels exceeds 1."""

    sample_rate_hz: int
    channels: int

    def resampler(self) -> AudioResampler:
        """A fresh converter to planar float32, for one run."""
        layout = "mono" if self.channels == 1 else "stereo"
        mix = {"rematrix_maxval": "1.0"}
        return AudioResampler(format="fltp", layout=layout, rate=self.sample_rate_hz, options=mix)


@dataclass(frozen=True)
class SoundPiece:
    """Sound without a break.

    first: index of its first sample, on the grid that begins at the container's start; at least 0.
    waveform: shape (channels, n), n at least 1, in [-1, 1].
    """

    first: int
    waveform: Float32Array

    @property
    def end(self) -> int:
        """Index of the sample after its last."""
        return self.first + int(self.waveform.shape[1])


class _Run:
    def __init__(self, frame: AudioFrame, *, start_s: float, target: SoundFormat) -> None:
        self._shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        self._first_s = start_s
        self._rate_hz = target.sample_rate_hz
        self._target = target
        self._resampler = target.resampler()
        self._mixer: Graph | None = None  # where the resampler cannot mix
        self._starts_s: list[float] = []  # where the run begins, according to each frame
        self._samples = 0
        self._waiting: list[Float32Array] = []  # until the run is placed, then for a second's worth
        self._waiting_samples = 0
        self._next: int | None = None  # once it is

    def continues(self, frame: AudioFrame, start_s: float, *, tolerance_s: float) -> bool:
        shape = (frame.sample_rate, frame.layout.name, frame.format.name)
        return shape == self._shape and abs(start_s - self._end_s) <= tolerance_s

    def add(self, frame: AudioFrame, start_s: float) -> Iterator[SoundPiece]:
        if self._next is None:
            self._starts_s.append(start_s - self._samples / self._shape[0])
        self._samples += frame.samples
        frame.pts = None  # the resampler must not act on stamps: placing is done here
        self._wait(self._converted(frame))
        wanted_s = _PIECE_S if self._next is not None else _PLACED_BY_S
        if self._waiting_samples >= wanted_s * self._rate_hz:
            yield self._placed()

    def finish(self) -> Iterator[SoundPiece]:
        self._wait(self._resampler.resample(None))
        if self._waiting:
            yield self._placed()

    def _converted(self, frame: AudioFrame) -> Sequence[AudioFrame | None]:
        if self._mixer is None:
            try:
                return self._resampler.resample(frame)
            except ArgumentError:  # FFmpeg has no rule how to mix these channels
                self._resampler, self._mixer = self._target.resampler(), _mixer(frame)
        self._mixer.push(frame)
        mixed = self._mixer.pull()
        assert isinstance(mixed, AudioFrame)
        return self._resampler.resample(mixed)

    def _wait(self, converted: Sequence[AudioFrame | None]) -> None:
        for waveform in _arrays(converted):
            self._waiting.append(waveform)
            self._waiting_samples += waveform.shape[1]

    def _placed(self) -> SoundPiece:
        if self._next is None:
            self._next = round(float(np.median(self._starts_s)) * self._rate_hz)
        piece = SoundPiece(self._next, np.concatenate(self._waiting, axis=1))
        self._next, self._waiting, self._waiting_samples = piece.end, [], 0
        return piece

    @property
    def _end_s(self) -> float:
        return self._first_s + self._samples / self._shape[0]


def sound_pieces(
    container: InputContainer,
    stream: AudioStream,
    info: MediaInfo,
    damage: Damage,
    *,
    target: SoundFormat,
    window_s: tuple[float, float] = (0.0, float("inf")),
) -> Iterator[SoundPiece]:
    """Decode the sound that touches window_s (start, end), from where the container stands.

    Pieces ascend and do not overlap: of what a file has twice, the first counts. Numbers that are no sound (NaN, inf)
    become silence and are noted in `damage`, as is what lies before its time.
    """
    end = 0
    for piece in _runs(container, stream, info, damage, target=target, window_s=window_s):
        waveform = piece.waveform[:, max(end - piece.first, 0) :]
        goes_back = end - piece.first > _GOES_BACK_S * target.sample_rate_hz
        if piece.end > 0 and (goes_back or not waveform.shape[1]):  # priming lies before 0
            damage.goes_back |= goes_back
            damage.note_once("sound that goes back in time is left out")
        if not waveform.shape[1]:
            continue
        if not np.isfinite(waveform).all():
            damage.note_once("parts of the sound are not numbers")
            waveform = np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)
        placed = SoundPiece(max(end, piece.first), np.clip(waveform, -1.0, 1.0))
        end = placed.end
        yield placed


def _runs(
    container: InputContainer,
    stream: AudioStream,
    info: MediaInfo,
    damage: Damage,
    *,
    target: SoundFormat,
    window_s: tuple[float, float],
) -> Iterator[SoundPiece]:
    run: _Run | None = None
    losses = 0
    end_s = 0.0  # of the frame before
    latest_s = (info.duration_s or float("inf")) + STAMP_SLACK_S
    for frame in decoded_frames(container, stream, info, damage):
        if not isinstance(frame, AudioFrame) or not frame.samples:
            continue
        before_s, start_s = end_s, stamp_s(frame, stream, info, default_s=end_s)
        end_s = start_s + frame.samples / frame.sample_rate
        if end_s <= window_s[0]:
            continue
        tolerance_s = JITTER_S if damage.losses == losses else _JITTER_AFTER_LOSS_S
        losses = damage.losses
        continues = run is not None and run.continues(frame, start_s, tolerance_s=tolerance_s)
        if not continues and start_s > max(latest_s, max(before_s, window_s[0]) + STAMP_SLACK_S):
            damage.lose(info.duration_s)  # a broken stamp would make hours of zeros, or end the reading
            end_s = before_s
            continue
        if start_s > window_s[1] + _READ_ON_S:  # read on a little, so that the median has stamps to go by
            break
        if run is not None and not continues:
            yield from run.finish()
            run = None
        if run is None:
            run = _Run(frame, start_s=start_s, target=target)
        yield from run.add(frame, start_s)
    if run is not None:
        yield from run.finish()


def _mixer(frame: AudioFrame) -> Graph:
    """Makes stereo of channels that FFmpeg has no rule for: both sides are the mean of all.

    Of ambisonic sound both are its first channel, which hears all directions alike; the others may cancel it.
    """
    ambisonic = frame.layout.name.startswith("ambisonic")
    mix = "c0" if ambisonic else "+".join(f"c{channel}" for channel in range(frame.layout.nb_channels))
    graph = Graph()
    source = graph.add(
        "abuffer",
        sample_rate=str(frame.sample_rate),
        sample_fmt=frame.format.name,
        channel_layout=frame.layout.name,
        time_base=f"1/{frame.sample_rate}",
    )
    graph.link_nodes(source, graph.add("pan", f"stereo|c0<{mix}|c1<{mix}"), graph.add("abuffersink")).configure()
    return graph


def _arrays(pieces: Sequence[AudioFrame | None]) -> list[Float32Array]:
    # A resampler that passes frames through answers None when flushed.
    arrays = [piece.to_ndarray().astype(np.float32, copy=False) for piece in pieces if piece is not None]
    return [array for array in arrays if array.shape[1]]


def place(pieces: Iterable[SoundPiece], *, channels: int, first: int, samples: int) -> Float32Array:
    """Lay pieces on a grid that begins at sample `first`; zeros where there is none. Shape (channels, samples)."""
    waveform = np.zeros((channels, samples), np.float32)
    for piece in pieces:
        begin, end = max(piece.first - first, 0), min(piece.end - first, samples)
        if begin < end:
            offset = first - piece.first
            waveform[:, begin:end] = piece.waveform[:, begin + offset : end + offset]
    return waveform


def spans_s(pieces: Iterable[tuple[int, int]], *, sample_rate_hz: int) -> Float64Array:
    """Where there is sound. pieces: (first, end) in samples, ascending. Returns shape (m, 2), [start, end) in s."""
    spans: list[list[int]] = []
    for first, end in pieces:
        if spans and first - spans[-1][1] <= JITTER_S * sample_rate_hz:
            spans[-1][1] = end
        else:
            spans.append([first, end])
    return np.array(spans, np.float64).reshape(-1, 2) / sample_rate_hz
