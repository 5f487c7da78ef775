"""Decode one stream past its damage, and keep book of what was lost."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Discard
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avlib.errors import MediaError
from avlib.media import progress
from avlib.media.opening import check_answers, short_of_memory
from avlib.media.probe import MediaInfo

CUT_OFF_S = 1.0
"""A stream that ends this much before its container says counts as cut off. Encoders round by less."""

STAMP_SLACK_S = 10.0
"""A time stamp this much beyond the container's duration is taken for a broken one."""

_READ_ATTEMPTS = 10
_PIXEL_BYTES = 4
_MOV = "mov,"
_DURATION_IN_HEADER = ("matroska", "avi", "flv", "asf")

Frame: TypeAlias = AudioFrame | VideoFrame
MediaStream: TypeAlias = AudioStream | VideoStream


class Damage:
    """What was lost while one stream was read. Times count from the container's start."""

    def __init__(self, *, from_s: float = 0.0) -> None:
        """from_s: losses before this time are not told (after a seek, the first frames often lack others)."""
        self._from_s = from_s
        self.losses = 0
        """Packets and pictures lost so far; a change tells that something is missing before the next."""
        self.goes_back = False
        """Whether time goes back in it, as where recordings have been joined."""
        self.short_of_memory = False
        """Whether FFmpeg says that it had no memory: also where damage made it ask for much."""
        self.outgrown = False
        """Whether pictures were lost for which there is no memory: large ones, or what damage made of small ones."""
        self.at_entry = False
        """Whether the picture is damaged that the first ones are made from."""
        self._told = 0
        self.read_to_s = 0.0
        """End of the last packet of any stream."""
        self.at_end = False
        """True once nothing more can be read from the file."""
        self._first_s: float | None = None
        self._last_s: float | None = None
        self._notes: list[str] = []

    def lose(self, time_s: float | None, *, outgrown: bool = False) -> None:
        """Count a packet or picture that could not be decoded.  outgrown: for want of memory."""
        self.losses += 1
        if time_s is not None and time_s < self._from_s:
            return
        self.outgrown |= outgrown
        self._told += 1
        if time_s is not None:
            self._first_s = time_s if self._first_s is None else min(self._first_s, time_s)
            self._last_s = time_s if self._last_s is None else max(self._last_s, time_s)

    def note(self, sentence: str) -> None:
        """Add something else that is missing."""
        self._notes.append(sentence)

    def note_once(self, sentence: str) -> None:
        """The same, where it may be found again and again."""
        if sentence not in self._notes:
            self.note(sentence)

    def sentence(self) -> str | None:
        """All of it as one readable line; None where nothing is missing."""
        lost = []
        if self._told:
            lost = [f"{self._told} damaged packet{'s' * (self._told > 1)}{self._where()}"]
        return "; ".join(lost + self._notes) or None

    def _where(self) -> str:
        if self._first_s is None or self._last_s is None:
            return ""
        first, last = f"{self._first_s:.1f} s", f"{self._last_s:.1f} s"
        return f" at {first}" if first == last else f" between {first} and {last}"


def decoded_frames(container: InputContainer, stream: MediaStream, info: MediaInfo, damage: Damage) -> Iterator[Frame]:
    """All frames of one stream that can be decoded, in order; what cannot goes into `damage`. One thread."""
    stream.codec_context.thread_count = 1
    if info.container.startswith(_MOV):  # its index says where each packet lies: the others need not be read
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all
    for packet in _packets(container, damage):
        if packet.pts is not None and packet.time_base is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base) - info.start_s
            damage.read_to_s = max(damage.read_to_s, end_s)
        if packet.stream_index == stream.index:
            yield from _decode(packet, stream, info, damage)


def _packets(container: InputContainer, damage: Damage) -> Iterator[Packet[Any]]:
    failures = at_byte = 0
    while failures < _READ_ATTEMPTS:
        try:
            for packet in container.demux():
                failures, at_byte = 0, max(at_byte, packet.pos or 0)
                progress.advance(packet)
                yield packet
            break
        except (FFmpegError, IndexError) as error:  # IndexError: PyAV's, for a packet of a stream no header announced
            check_answers(container, error, from_byte=at_byte)
            damage.short_of_memory |= isinstance(error, MemoryError)
            failures += 1
            if failures == 1:
                damage.lose(damage.read_to_s)
    damage.at_end = True


def _decode(packet: Packet[Any], stream: MediaStream, info: MediaInfo, damage: Damage) -> Sequence[Frame]:
    try:
        return [frame for frame in packet.decode() if isinstance(frame, AudioFrame | VideoFrame)]
    except (FFmpegError, AttributeError) as error:  # AttributeError: PyAV's, where a stream becomes one of another kind
        damage.short_of_memory |= isinstance(error, MemoryError)
        stamp = packet.pts if packet.pts is not None else packet.dts
        lost_s = float(stamp * stream.time_base) - info.start_s if stamp is not None and stream.time_base else None
        damage.lose(lost_s, outgrown=not _room_for_picture(stream))
        return []


def _room_for_picture(stream: MediaStream) -> bool:
    """Whether there is memory for one as large as the last: some decoders call the lack of it invalid data."""
    if not isinstance(stream, VideoStream) or not stream.codec_context.width * stream.codec_context.height:
        return True
    try:
        mmap.mmap(-1, _PIXEL_BYTES * stream.codec_context.width * stream.codec_context.height).close()
    except (OSError, OverflowError):
        return False
    return True


def nothing_decoded(path: Path, what: str, codec: str | None, damage: Damage) -> MediaError:
    """The error for a stream of which nothing can be decoded.  what: sound or picture."""
    if damage.short_of_memory or damage.outgrown:
        return short_of_memory(path)
    return MediaError(path, f"no {what} in it can be decoded ({codec})", error_class="undecodable")


def stamp_s(frame: Frame, stream: MediaStream, info: MediaInfo, *, default_s: float) -> float:
    """When a frame is presented; default_s where it carries no stamp."""
    # AVI stores the order of decoding only. Pictures come out of the decoder in the order of display, and
    # late by the depth of its reordering.
    is_avi = info.container == "avi"
    stamp = frame.dts if is_avi else frame.pts
    if stamp is None or stream.time_base is None:
        return default_s
    late_s = 0.0
    if is_avi and isinstance(stream, VideoStream) and info.frame_rate_hz:
        late_s = stream.codec_context.reorder_depth / info.frame_rate_hz
    return float(stamp * stream.time_base) - info.start_s - late_s


def note_missing_end(stream: MediaStream, info: MediaInfo, damage: Damage, *, last_s: float) -> None:
    """Note in `damage` where a stream, read to its end, stops well before its container says it should."""
    if _all_of_index_came(stream, info, last_s=last_s):
        return
    if info.container.startswith(_MOV) and stream.duration and stream.time_base:
        expected_s = float((stream.duration + (stream.start_time or 0)) * stream.time_base) - info.start_s
        ends_s = last_s
    elif info.container.startswith(_DURATION_IN_HEADER) and info.duration_s:
        # One stream may well be shorter than the other: only the end of the whole file tells.
        expected_s, ends_s = info.duration_s, damage.read_to_s
    else:
        return
    if ends_s < expected_s - CUT_OFF_S:
        damage.note(f"cut off at {ends_s:.1f} s of {expected_s:.1f} s")


def _all_of_index_came(stream: MediaStream, info: MediaInfo, *, last_s: float) -> bool:
    """Whether a stream was read to the last frame that an MP4 file's index names, and that ends where it should."""
    # Of a track that its edit list both trims and delays, FFmpeg counts the delay twice: in the duration and in the
    # start. An index that is not of the whole file but of fragments grows as they are read, and tells nothing.
    entries = stream.index_entries
    if not info.container.startswith(_MOV) or not stream.time_base or not 0 < len(entries) <= stream.frames:
        return False
    ends_s = float((stream.duration or 0) * stream.time_base) - info.start_s
    return last_s >= max(float(entries[-1].timestamp * stream.time_base) - info.start_s, ends_s - CUT_OFF_S)


def seek(container: InputContainer, stream: MediaStream, info: MediaInfo, *, time_s: float) -> None:
    """Go to the last point at or before time_s from which the stream can be decoded.

    Raises av.error.FFmpegError where the format cannot seek.
    """
    assert stream.time_base is not None
    container.seek(int((time_s + info.start_s) / stream.time_base), stream=stream)
