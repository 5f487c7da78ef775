"""One video, or one slice of a long one → its loud frames with their sound described and their pictures read."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise

import numpy as np

from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array, UInt8Array
from avlib.config import DescribeSettings
from avlib.description.listening import Frames, Heard, listen
from avlib.description.outcome import Description, Problem, SliceOutcome
from avlib.descriptors import audio_context, mfcc_windows, rms_energy
from avlib.errors import MediaError
from avlib.media import JITTER_S, IsolatedVideo, MediaInfo

_AS_LOUD = 2.0  # at most: windows at an end of the sound are cut, and noise-like sound is other noise after a seek

_SHORTER_S = 1.0
"""Pictures that end so much before the sound are worth a word. Encoders round by less."""


@dataclass(frozen=True)
class FrameBatch:
    """Samples to be: loud frames of one video, in ascending order.

    indexes: shape (n,), on the grid before the stride.  times_s: shape (n,), from the container's start.
    rms: shape (n,), in [0, 1].  audio_mfcc65, audio_context: shape (n, d), raw and finite.
    pictures: shape (n, size_px, size_px, 3).
    """

    indexes: Int64Array
    times_s: Float64Array
    rms: Float32Array
    audio_mfcc65: Float32Array
    audio_context: Float32Array
    pictures: UInt8Array

    def part(self, first: int, last: int) -> FrameBatch:
        """Those in [first, last)."""
        return FrameBatch(**{field.name: getattr(self, field.name)[first:last] for field in fields(self)})


@dataclass(frozen=True)
class Slice:
    """A stretch [start_s, end_s) of a long video, to be described by itself.

    sounding_s: where the sound of the whole video begins and ends.
    """

    start_s: float
    end_s: float
    sounding_s: tuple[float, float]
    info: MediaInfo
    frames: Frames
    spans_s: Float64Array

    def outcome(self, *, samples: int, until_s: float, problem: Problem | None = None) -> SliceOutcome:
        """What came of it, its pictures read until until_s."""
        ends_s = np.minimum(self.spans_s[:, 1], min(until_s, self.end_s))
        covered_s = float(np.clip(ends_s - self.spans_s[:, 0], 0, None).sum())
        return SliceOutcome(self.start_s, self.frames.indexes.size, samples, covered_s, problem)

    def to_json(self) -> str:
        """As text, exactly."""
        arrays = {"indexes": self.frames.indexes, "rms": self.frames.rms.astype(float), "spans_s": self.spans_s}
        listed = {name: array.tolist() for name, array in arrays.items()}
        lies = {"start_s": self.start_s, "end_s": self.end_s, "sounding_s": self.sounding_s}
        return json.dumps(lies | {"info": asdict(self.info)} | listed)

    @classmethod
    def from_json(cls, text: str, *, frame_rate_hz: float) -> Slice:
        """From what to_json gave."""
        given = json.loads(text)
        indexes = np.array(given["indexes"], np.int64)
        frames = Frames(indexes, indexes / frame_rate_hz, np.array(given["rms"], np.float32))
        spans_s = np.array(given["spans_s"], np.float64).reshape(-1, 2)
        start_s, end_s, (first_s, last_s) = (given[name] for name in ("start_s", "end_s", "sounding_s"))
        return cls(start_s, end_s, (first_s, last_s), MediaInfo(**given["info"]), frames, spans_s)


@dataclass(frozen=True)
class LongVideo:
    """A video whose sound has been read, and whose pictures are left to its slices.

    Its description is `description.finished(sound, outcomes of the slices)`.
    """

    description: Description
    sound: Problem | None
    slices: tuple[Slice, ...]


def describe_video(
    video: IsolatedVideo, settings: DescribeSettings
) -> Generator[FrameBatch, None, Description | LongVideo]:
    """Yields the loud frames of a video; returns what came of it. Never raises MediaError.

    A file with no sound or no pictures has no samples. What decodes before or around damage is kept (`partial`).
    """
    description = Description()
    try:
        # Also of what cannot be opened: of a thousand copies of an error page one is looked at.
        description = replace(description, content_hash=video.content_hash())
        info = video.probe()
        description = description.with_info(info)
        if info.audio_stream is None:
            description = replace(description, audio_status="none")
            return description.ended("no_audio", Problem("no_audio", "no sound track"))
        if info.video_stream is None:
            description = replace(description, visual_status="none")
            return description.ended("no_video", Problem("no_video", "no picture track"))
        description = replace(description, audio_status="failed")  # until it is read
        heard = listen(video, info, settings)
    except MediaError as error:
        skipped = error.error_class == "is_directory"
        return description.ended("skipped" if skipped else "failed", Problem.of(error))
    slices, problem = _slices(info, heard, settings), heard.problem
    if heard.waveform is None:
        return LongVideo(description, problem, slices)
    sound = _describe_sound(heard.waveform, slices[0], settings, from_s=0.0)
    del heard  # no need to keep the waveform while pictures are read
    outcome = yield from _with_pictures(video, slices[0], sound, settings)
    return description.finished(problem, [outcome])


def describe_slice(
    video: IsolatedVideo, one: Slice, settings: DescribeSettings
) -> Generator[FrameBatch, None, SliceOutcome]:
    """Yields the loud frames of a slice; returns what came of it. Never raises MediaError."""
    if not one.frames.indexes.size:
        return one.outcome(samples=0, until_s=one.end_s)
    # Whole seconds, so that windows lie on the same sample as in the whole sound.
    margin_s = sound_margin_s(settings)
    from_s, to_s = float(np.floor(one.start_s - margin_s)), float(np.ceil(one.end_s + margin_s))
    try:
        waveform = video.sound_between(one.info, sample_rate_hz=settings.audio.sr, start_s=from_s, end_s=to_s)
    except MediaError as error:
        return one.outcome(samples=0, until_s=one.start_s, problem=Problem.of(error))
    kept = _as_heard(waveform, one, settings, from_s=from_s)
    lost = Problem("damaged", f"{np.sum(~kept)} frames have another sound when they are sought")
    if not kept.any():
        return one.outcome(samples=0, until_s=one.start_s, problem=lost)
    left = replace(one, frames=one.frames.where(kept))
    sound = _describe_sound(waveform, left, settings, from_s=from_s)
    del waveform  # no need to keep it while pictures are read
    outcome = yield from _with_pictures(video, left, sound, settings)
    if kept.all():
        return outcome
    return replace(outcome, wanted=kept.size, problem=lost.and_also(outcome.problem))


def sound_margin_s(settings: DescribeSettings) -> float:
    """How far the sound that describes a frame may lie from it, and a frame more."""
    context = settings.audio_context
    window_s = (max(settings.audio.window_frames) / 2 + 1) / settings.frame_rate_hz
    return max(window_s, context.span_s + (context.slope_frames / 2 + 1) / context.frames_hz + context.frame_s)


def _slices(info: MediaInfo, heard: Heard, settings: DescribeSettings) -> tuple[Slice, ...]:
    ends_s = float(heard.spans_s[-1, 1])
    sounding_s = (float(heard.spans_s[0, 0]), ends_s)
    info = replace(info, seekable=not heard.goes_back)
    if heard.waveform is not None:
        return (Slice(0.0, ends_s, sounding_s, info, heard.frames, heard.spans_s),)
    edges_s = settings.slice_s * np.arange(np.ceil(ends_s / settings.slice_s) + 1)
    return tuple(
        Slice(
            start_s,
            end_s,
            sounding_s,
            info,
            heard.frames.between(start_s, end_s),
            _within(heard.spans_s, start_s, end_s),
        )
        for start_s, end_s in pairwise(edges_s.tolist())
    )


@dataclass(frozen=True)
class _Sound:
    """What the sound says of a slice's frames. Both of shape (n, d)."""

    mfcc65: Float32Array
    context: Float32Array


def _describe_sound(waveform: Float32Array, one: Slice, settings: DescribeSettings, *, from_s: float) -> _Sound:
    """Of the frames of a slice. waveform: shape (n,), its first sample at from_s."""
    times_s = one.frames.times_s - from_s
    context = audio_context(
        waveform,
        times_s=times_s,
        sounding_s=(one.sounding_s[0] - from_s, one.sounding_s[1] - from_s),
        sample_rate_hz=settings.audio.sr,
        settings=settings.audio_context,
    )
    mfcc65 = mfcc_windows(waveform, times_s=times_s, frame_rate_hz=settings.frame_rate_hz, settings=settings.audio)
    return _Sound(mfcc65, context)


def _with_pictures(
    video: IsolatedVideo, one: Slice, sound: _Sound, settings: DescribeSettings
) -> Generator[FrameBatch, None, SliceOutcome]:
    """Frames of a slice, their pictures as they are read."""
    frames, size_px = one.frames, settings.picture_size_px
    pictures = video.pictures(one.info, times_s=frames.times_s, size_px=size_px, batch=settings.picture_batch)
    samples = 0
    problem = None
    shown_s = one.start_s
    try:
        for rows, shown in pictures:
            times_s = frames.times_s[rows]
            yield FrameBatch(
                frames.indexes[rows], times_s, frames.rms[rows], sound.mfcc65[rows], sound.context[rows], shown
            )
            samples += len(rows)
            shown_s = float(times_s[-1])
        all_shown = samples == frames.indexes.size
        shown_s = one.end_s if all_shown and pictures.damage is None else pictures.covered_s
        if pictures.damage is not None:
            problem = Problem("damaged", pictures.damage)
        elif not all_shown and frames.times_s[-1] > shown_s + _SHORTER_S:
            problem = Problem("damaged", f"no pictures after {shown_s:.1f} s")
    except MediaError as error:
        problem = Problem.of(error)
    return one.outcome(samples=samples, until_s=shown_s, problem=problem)


def _as_heard(waveform: Float32Array, one: Slice, settings: DescribeSettings, *, from_s: float) -> BoolArray:
    """Which frames of a slice are about as loud as when the whole sound was read. Shape (n,).

    In a damaged file seeking may lose what reading from the beginning did not, or end in another part of it. Sound is
    placed by the time stamps around where reading began, which may stray by JITTER_S: as loud so much earlier or later
    will do.
    """
    spans_s, rate_hz = one.spans_s - from_s, settings.audio.sr
    spans_s[one.spans_s[:, 0] <= one.start_s, 0] = 0.0  # it goes on beyond the slice
    spans_s[one.spans_s[:, 1] >= one.end_s, 1] = waveform.size / rate_hz
    rms = [
        rms_energy(
            waveform,
            times_s=one.frames.times_s - from_s + off_s,
            sample_rate_hz=rate_hz,
            window_s=1 / settings.frame_rate_hz,
            spans_s=spans_s,
        )
        for off_s in np.linspace(-JITTER_S, JITTER_S, 5)
    ]
    heard = one.frames.rms
    kept: BoolArray = (np.fmax.reduce(rms) >= heard / _AS_LOUD) & (np.fmin.reduce(rms) <= heard * _AS_LOUD)
    return kept


def _within(spans_s: Float64Array, start_s: float, end_s: float) -> Float64Array:
    clipped = np.clip(spans_s, start_s, end_s)
    return clipped[clipped[:, 0] < clipped[:, 1]]
