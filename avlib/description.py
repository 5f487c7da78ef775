"""One video → its samples and what came of it (Solèr et al. 2016, §3.1). No Spark here.

The sound is read first, whole, as mono at one rate; its RMS decides which frames are loud. Pictures are then
streamed, and only those of loud frames are described.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avlib.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from avlib.config import DescribeSettings
from avlib.descriptors import loud_frames, mfcc_windows, rms_energy
from avlib.descriptors.visual import VisualDescriptor
from avlib.errors import MediaError, ParameterError
from avlib.media import MediaInfo, PictureReader, Sound, check_is_file, decode_sound, probe


@dataclass(frozen=True)
class SampleBatch:
    """Samples of one video.

    frame_indexes: shape (n,), on the grid before the stride.  times_s: shape (n,), from the container's start.
    rms: shape (n,), in [0, 1].  visual: shape (n, d_V).  audio: shape (n, d_A). All descriptors raw and finite.
    """

    frame_indexes: Int64Array
    times_s: Float64Array
    rms: Float32Array
    visual: Float32Array
    audio: Float32Array


@dataclass(frozen=True)
class Description:
    """What came of a video: the columns of `descriptions` that its file decides (see avlib.tables)."""

    status: str = "ok"
    audio_status: str = "not_tried"
    visual_status: str = "not_tried"
    error_class: str | None = None
    transient: bool | None = None
    error: str | None = None
    covered_s: float | None = None
    content_hash: str | None = None
    container: str | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    video_stream: int | None = None
    audio_stream: int | None = None
    width: int | None = None
    height: int | None = None
    frame_rate_hz: float | None = None
    audio_rate_hz: int | None = None
    channels: int | None = None
    duration_s: float | None = None
    samples: int = 0

    def failed(self, error: MediaError) -> Description:
        """This description, ended by an error."""
        return replace(
            self,
            status="failed",
            error_class=error.error_class,
            transient=error.transient,
            error=error.reason,
        )


def describe_video(
    path: Path, *, settings: DescribeSettings, visual: VisualDescriptor
) -> Generator[SampleBatch, None, Description]:
    """Yields the samples of a video, batch by batch; returns what came of it. Never raises MediaError.

    A file with no sound or no pictures has no samples. What decodes before or around damage is kept (`partial`).
    """
    description = Description()
    if path.is_dir():
        return replace(description, status="skipped", error_class="is_directory", error="a folder, not a video file")
    try:
        check_is_file(path)  # a pipe would never end
        description = replace(description, content_hash=_content_hash(path))
        info = probe(path)
        description = _with_info(description, info)
        if info.audio_stream is None:
            return replace(
                description, status="no_audio", audio_status="none", error_class="no_audio", error="no sound track"
            )
        if info.video_stream is None:
            return replace(
                description, status="no_video", visual_status="none", error_class="no_video", error="no picture track"
            )
        description = replace(description, audio_status="failed")  # until it is read
        sound = decode_sound(path, info, sample_rate_hz=settings.audio.sr)
        description = replace(description, audio_status="partial" if sound.damage else "ok")
        frames = _kept_frames(sound, settings=settings)
        description = replace(description, visual_status="failed")
        reader = PictureReader(
            path, info, times_s=frames.times_s, size_px=settings.picture_size_px, batch=settings.picture_batch
        )
        samples = 0
        for batch in _sample_batches(reader, frames, sound, settings=settings, visual=visual):
            samples += len(batch.frame_indexes)
            yield batch
    except MediaError as error:
        return description.failed(error)
    damage = [reason for reason in (sound.damage, reader.damage) if reason]
    return replace(
        description,
        status="partial" if damage else "ok",
        visual_status="partial" if reader.damage else "ok",
        error_class="damaged" if damage else None,
        transient=False if damage else None,
        error="; ".join(damage) or None,
        covered_s=_covered_s(sound.spans_s, reader.covered_s),
        samples=samples,
    )


@dataclass(frozen=True)
class _Frames:
    """The loud frames of a video, after the stride. All of shape (n,)."""

    indexes: Int64Array
    times_s: Float64Array
    rms: Float32Array


def _kept_frames(sound: Sound, *, settings: DescribeSettings) -> _Frames:
    """Frames whose window RMS is above the median of all frames that have sound; then every n-th of the grid."""
    seconds = len(sound.waveform) / sound.sample_rate_hz
    indexes = np.arange(int(np.floor(seconds * settings.frame_rate_hz)), dtype=np.int64)
    times_s = indexes / settings.frame_rate_hz
    rms = rms_energy(
        sound.waveform,
        times_s=times_s,
        sample_rate_hz=sound.sample_rate_hz,
        window_s=1 / settings.frame_rate_hz,
        spans_s=sound.spans_s,
    )
    on_stride: BoolArray = indexes % settings.frame_stride == 0
    kept = loud_frames(rms) & on_stride
    return _Frames(indexes[kept], times_s[kept], rms[kept])


def _sample_batches(
    reader: PictureReader,
    frames: _Frames,
    sound: Sound,
    *,
    settings: DescribeSettings,
    visual: VisualDescriptor,
) -> Iterator[SampleBatch]:
    for rows, pictures in reader:
        times_s = frames.times_s[rows]
        audio = mfcc_windows(
            sound.waveform, times_s=times_s, frame_rate_hz=settings.frame_rate_hz, settings=settings.audio
        )
        batch = SampleBatch(frames.indexes[rows], times_s, frames.rms[rows], visual.describe(pictures), audio)
        if not (np.isfinite(batch.visual).all() and np.isfinite(batch.audio).all()):
            raise ParameterError("descriptors", "NaN or inf", "finite numbers: check the model's weights")
        yield batch


def _with_info(description: Description, info: MediaInfo) -> Description:
    return replace(
        description,
        container=info.container,
        video_codec=info.video_codec,
        audio_codec=info.audio_codec,
        video_stream=info.video_stream,
        audio_stream=info.audio_stream,
        width=info.width,
        height=info.height,
        frame_rate_hz=info.frame_rate_hz,
        audio_rate_hz=info.audio_rate_hz,
        channels=info.channels,
        duration_s=info.duration_s,
    )


def _covered_s(spans_s: Float64Array, pictures_until_s: float) -> float:
    """Time over which there is sound, and pictures have been decoded."""
    return float(np.clip(np.minimum(spans_s[:, 1], pictures_until_s) - spans_s[:, 0], 0, None).sum())


def _content_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MediaError(path, f"cannot be read: {error.strerror}", error_class="unreadable", transient=True) from None
