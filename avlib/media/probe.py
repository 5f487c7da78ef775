"""What a container says about itself: streams, codecs, sizes, rates, start and duration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avlib.errors import MediaError
from avlib.media import progress
from avlib.media.opening import check_answers, check_codec, open_media

_PACKETS_TO_FIRST_PICTURE = 200

Kind = TypeVar("Kind", bound=AudioFrame | VideoFrame)


@dataclass(frozen=True)
class MediaInfo:
    """What the container says; None = no such stream, or unknown.

    The picture stream is the first that is not a cover image; the sound stream is the one marked as default,
    else the first. width and height are as displayed: pixels made square and turned by rotation_deg.
    """

    container: str
    video_codec: str | None
    audio_codec: str | None
    video_stream: int | None
    audio_stream: int | None
    width: int | None
    height: int | None
    rotation_deg: int
    """Clockwise turn to apply for display: 0, 90, 180 or 270."""
    pixel_aspect: float
    """Width of a pixel over its height, before turning; 1 = square."""
    frame_rate_hz: float | None
    """The nominal rate; time stamps, not this, say when a picture is shown."""
    audio_rate_hz: int | None
    channels: int | None
    sound_start_s: float | None
    """When the sound begins, as its header says; 0 or a little more in most files."""
    duration_s: float | None
    start_s: float
    """The container's start time on its own clock. All other times in this package count from here."""
    seekable: bool = True
    """False: it is read from the beginning, as time goes back in it, which is known once its sound has been read."""


MAX_PIXELS = 100_000_000
"""Of a picture, unless said otherwise."""


def probe(path: Path, *, max_pixels: int = MAX_PIXELS) -> MediaInfo:
    """Read the headers of a media file and, for its rotation, the first picture.

    Raises MediaError: `no_streams` when it holds neither pictures nor sound, `too_large` where a picture has more
    than max_pixels, `codec_refused`, else as `open_media`.
    """
    with open_media(path) as container:
        video, audio = _picture_stream(container), _sound_stream(container)
        if video is None and audio is None:
            raise MediaError(path, "it holds neither pictures nor sound", error_class="no_streams")
        start_s = (container.start_time or 0) / 1e6
        duration_s = container.duration / 1e6 if container.duration and container.duration > 0 else None
        for stream in (video, audio):
            if stream is not None and stream.codec_context is not None:
                check_codec(path, stream.codec_context)
        if video is not None and video.codec_context is not None:
            check_size(path, video, max_pixels=max_pixels)
        first = _first_picture(container, video) if video is not None else None
        width, height, rotation_deg = _displayed_size(video, first)
        sound = audio.codec_context if audio is not None else None  # None, too, where FFmpeg does not know the codec
        info = MediaInfo(
            container=container.format.name,
            video_codec=_codec(video),
            audio_codec=_codec(audio),
            video_stream=video.index if video is not None else None,
            audio_stream=audio.index if audio is not None else None,
            width=width,
            height=height,
            rotation_deg=rotation_deg,
            pixel_aspect=_pixel_aspect(video),
            frame_rate_hz=_frame_rate_hz(video),
            audio_rate_hz=sound.sample_rate or None if sound is not None else None,
            channels=sound.channels or None if sound is not None else None,
            sound_start_s=_sound_start_s(audio, start_s),
            duration_s=duration_s,
            start_s=start_s,
        )
    if sound is not None and info.audio_rate_hz is None:
        info = _with_first_sound(path, info)
    return info if duration_s is not None else replace(info, duration_s=_measured_duration_s(path, start_s))


def _with_first_sound(path: Path, info: MediaInfo) -> MediaInfo:
    """What the first frame of sound says, where it comes so late that FFmpeg has not looked at it."""
    with open_media(path) as container:
        stream = _sound_stream(container)
        first = _first_frame(container, stream, AudioFrame) if stream is not None else None
        if stream is None or first is None:
            return info
        start_s = None if first.time is None else max(0.0, first.time - info.start_s)
        return replace(
            info,
            audio_rate_hz=first.sample_rate,
            channels=first.layout.nb_channels,
            sound_start_s=start_s,
        )


def check_size(path: Path, stream: VideoStream, *, max_pixels: int) -> None:
    """Raise MediaError where pictures are larger; later ones that grow are refused by the decoder."""
    if stream.width * stream.height > max_pixels:
        reason = f"its pictures are {stream.width} x {stream.height}, more than {max_pixels} pixels (decode.max_pixels)"
        raise MediaError(path, reason, error_class="too_large")
    stream.codec_context.options = {"max_pixels": str(max_pixels)}


def _picture_stream(container: InputContainer) -> VideoStream | None:
    cover = Disposition.attached_pic | Disposition.timed_thumbnails
    return next((s for s in container.streams.video if not s.disposition & cover), None)


def _sound_stream(container: InputContainer) -> AudioStream | None:
    streams = container.streams.audio
    marked = (stream for stream in streams if stream.disposition & Disposition.default)
    return next(marked, streams[0] if streams else None)


def _codec(stream: VideoStream | AudioStream | None) -> str | None:
    # A stream whose codec FFmpeg does not know has no codec context.
    context = stream.codec_context if stream is not None else None
    return context.codec.canonical_name if context is not None else "unknown" if stream is not None else None


def _first_picture(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    if stream.codec_context is None:
        return None
    stream.codec_context.thread_count = 1
    return _first_frame(container, stream, VideoFrame, packets=_PACKETS_TO_FIRST_PICTURE)


def _first_frame(
    container: InputContainer, stream: AudioStream | VideoStream, kind: type[Kind], *, packets: int | None = None
) -> Kind | None:
    """The first that can be decoded, within so many packets."""
    own = (packet for packet in _packets(container) if packet.stream_index == stream.index)
    for packet in islice(own, packets):
        try:
            found = [frame for frame in packet.decode() if isinstance(frame, kind)]
        except (FFmpegError, AttributeError):  # as in avlib.media.reading
            continue
        if found:
            return found[0]
    return None


def _packets(container: InputContainer) -> Iterator[Packet[Any]]:
    """All that can be read: of a file that breaks off, those before. Raises MediaError where it is the disk's fault."""
    at_byte = 0
    try:
        for packet in container.demux():
            at_byte = max(at_byte, packet.pos or 0)
            progress.advance(packet)
            yield packet
    except (FFmpegError, IndexError) as error:  # as in avlib.media.reading
        check_answers(container, error, from_byte=at_byte)


def _displayed_size(stream: VideoStream | None, first: VideoFrame | None) -> tuple[int | None, int | None, int]:
    if stream is None or stream.codec_context is None or not (stream.width and stream.height):
        return None, None, 0
    width, height = max(1, round(stream.width * _pixel_aspect(stream))), stream.height
    # FFmpeg's angle is counter-clockwise; phones only ever write quarter turns.
    rotation_deg = 90 * round(-first.rotation / 90) % 360 if first is not None else 0
    return (height, width, rotation_deg) if rotation_deg in (90, 270) else (width, height, rotation_deg)


def _pixel_aspect(stream: VideoStream | None) -> float:
    return float(stream.sample_aspect_ratio or 1) if stream is not None else 1.0


def _frame_rate_hz(stream: VideoStream | None) -> float | None:
    if stream is None:
        return None
    rate = stream.guessed_rate or stream.average_rate
    return float(rate) if rate else None


def _sound_start_s(stream: AudioStream | None, start_s: float) -> float | None:
    if stream is None or stream.start_time is None or stream.time_base is None:
        return None
    return max(0.0, float(stream.start_time * stream.time_base) - start_s)


def _measured_duration_s(path: Path, start_s: float) -> float | None:
    """The end of the last packet. For files without a duration, as browsers record them."""
    end_s = None
    with open_media(path) as container:
        for packet in _packets(container):
            if packet.pts is not None and packet.time_base is not None:
                packet_end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base) - start_s
                end_s = max(end_s or 0.0, packet_end_s)
    return end_s
