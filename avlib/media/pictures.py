"""The pictures on display at wanted times, streamed in batches."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avlib.arrays import Float64Array, Int64Array, UInt8Array
from avlib.errors import MediaError, ParameterError
from avlib.media.normalising import PictureNormaliser
from avlib.media.opening import check_codec, open_media, reading_errors, short_of_memory
from avlib.media.probe import MAX_PIXELS, MediaInfo, check_size
from avlib.media.reading import (
    STAMP_SLACK_S,
    Damage,
    decoded_frames,
    note_missing_end,
    nothing_decoded,
    seek,
    stamp_s,
)

_STAMP_ROUNDING_S = 0.0005
_SEEK_BEYOND_S = 5.0
_SEEK_MARGINS_S = (1.0, 10.0)
_DEFAULT_FRAME_S = 0.04
_BARE_S = 1.0


@dataclass(frozen=True)
class _Shown:
    """A picture and the time it is on display: [start_s, end_s)."""

    frame: VideoFrame
    start_s: float
    end_s: float


class PictureReader:
    """Iterate to get (indexes, pictures): which of times_s, and the normalised picture on display then.

    The picture on display at t is the last whose time stamp is at most t. The first picture also stands for
    one frame duration before it, the last one for its own duration; other times get no picture and no index.
    A picture that the decoder marks as damaged is never shown, nor does the one before it stand in for it.

    times_s: shape (n,), ascending, in seconds from the container's start.
    Yields Int64Array (b,) and UInt8Array (b, size_px, size_px, 3) RGB with b ≤ batch, indexes ascending.
    Decodes on one thread, holds three frames and one batch, and stops after the last wanted time. Iterating
    raises MediaError when no picture at all can be decoded, or, after the others, where there was no memory for
    some, and av exceptions never.
    """

    damage: str | None
    """After iterating: None, or what is missing, in words."""
    covered_s: float
    """After iterating: up to which time pictures were decoded."""

    def __init__(
        self,
        path: Path,
        info: MediaInfo,
        *,
        times_s: Float64Array,
        size_px: int,
        batch: int = 32,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if times_s.ndim != 1 or np.any(np.diff(times_s) < 0) or not np.all(np.isfinite(times_s)):
            raise ParameterError("times_s", times_s.shape, "shape (n,), finite and ascending")
        if batch < 1:
            raise ParameterError("batch", batch, "at least 1")
        self._path = path
        self._info = info
        self._times_s = times_s
        self._size_px = size_px
        self._batch = batch
        self._max_pixels = max_pixels
        self._frame_s = 1 / info.frame_rate_hz if info.frame_rate_hz else _DEFAULT_FRAME_S
        self.damage = None
        self.covered_s = 0.0
        self._outgrown = False

    def __iter__(self) -> Iterator[tuple[Int64Array, UInt8Array]]:
        self.damage, self.covered_s = None, 0.0
        if not self._times_s.size:
            return
        indexes: list[int] = []
        pictures = self._room()
        for index, picture in self._wanted():
            pictures[len(indexes)] = picture
            indexes.append(index)
            if len(indexes) == self._batch:
                yield np.array(indexes, np.int64), pictures
                indexes, pictures = [], self._room()
        if indexes:
            yield np.array(indexes, np.int64), pictures[: len(indexes)]
        if self._outgrown:
            raise short_of_memory(self._path)

    def _room(self) -> UInt8Array:
        rows = min(self._batch, self._times_s.size)
        return np.empty((rows, self._size_px, self._size_px, 3), np.uint8)

    def _wanted(self) -> Iterator[tuple[int, UInt8Array]]:
        index = 0
        normaliser: PictureNormaliser | None = None
        with closing(self._from_first_wanted()) as pictures:
            for shown in pictures:
                self.covered_s = max(self.covered_s, shown.end_s)
                index = max(index, self._first_at(shown.start_s))
                end = self._first_at(shown.end_s)
                if index < end:
                    normaliser = normaliser or self._normaliser()
                    with reading_errors(self._path):
                        picture = normaliser(shown.frame)
                    for wanted in range(index, end):
                        yield wanted, picture
                    index = end
                if index == self._times_s.size:
                    return

    def _first_at(self, time_s: float) -> int:
        # Containers round stamps to 1 ms at worst: a picture counts from half of that before its stamp.
        return int(np.searchsorted(self._times_s, time_s - _STAMP_ROUNDING_S))

    def _normaliser(self) -> PictureNormaliser:
        info = self._info
        return PictureNormaliser(size_px=self._size_px, rotation_deg=info.rotation_deg, pixel_aspect=info.pixel_aspect)

    def _from_first_wanted(self) -> Generator[_Shown, None, None]:
        """Pictures in order from at or before the first wanted time: by seeking, else from the beginning."""
        first_s = float(self._times_s[0])
        entries_s = [first_s - margin_s for margin_s in _SEEK_MARGINS_S if first_s - margin_s > _SEEK_BEYOND_S]
        damage = Damage()
        for entry_s in [*(entries_s if self._info.seekable else []), None]:
            damage = Damage(from_s=first_s if entry_s is not None else 0.0)
            try:
                with open_media(self._path) as container:
                    stream = self._stream(container)
                    if entry_s is not None:
                        seek(container, stream, self._info, time_s=entry_s)
                    pictures = self._shown(container, stream, damage)
                    first = next(pictures, None)
                    if first is None or (entry_s is not None and (first.start_s > first_s or damage.at_entry)):
                        continue  # sought too far, nowhere, or where pictures would be made from nothing
                    yield from chain([first], pictures)
                    return
            except MediaError:
                if entry_s is None:
                    raise
            finally:
                self.damage, self._outgrown = damage.sentence(), damage.outgrown
        raise nothing_decoded(self._path, "picture", self._info.video_codec, damage)

    def _stream(self, container: InputContainer) -> VideoStream:
        if self._info.video_stream is None:
            raise MediaError(self._path, "it has no pictures", error_class="no_streams")
        stream = container.streams[self._info.video_stream]
        if not isinstance(stream, VideoStream) or stream.codec_context is None:
            raise MediaError(
                self._path, "its pictures are in a format that cannot be decoded", error_class="undecodable"
            )
        check_codec(self._path, stream.codec_context)
        check_size(self._path, stream, max_pixels=self._max_pixels)
        return stream

    def _shown(self, container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[_Shown]:
        """Pictures and when each is on display: until the next one, or for its own duration at a loss."""
        previous: _Shown | None = None  # its end: where it ends by its own duration
        losses = 0
        for shown, losses_then in self._stamped(container, stream, damage):
            if previous is not None:
                end_s = shown.start_s if losses_then == losses else min(shown.start_s, previous.end_s)
                yield _Shown(previous.frame, previous.start_s, end_s)
            previous, losses = shown, losses_then
        if previous is not None:
            yield previous
            if damage.at_end:
                note_missing_end(stream, self._info, damage, last_s=previous.end_s)

    def _stamped(self, container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[tuple[_Shown, int]]:
        """Pictures with ascending times, until each would end by its own duration, and the losses when it was decoded.

        A broken stamp costs its picture: one far ahead would keep the picture before it on display, and all after it
        out. So it counts as lost beyond the end, or where the next one goes back behind it. Where several follow each
        other, the picture before them stays until time has caught up, and those that are out count as lost.
        """
        latest_s = (self._info.duration_s or float("inf")) + STAMP_SLACK_S
        held: tuple[_Shown, int] | None = None
        last_s = float("-inf")  # of the last that was given out
        bare_s: list[tuple[float, float]] = []  # stretches of some length in which none begins
        for frame in decoded_frames(container, stream, self._info, damage):
            start_s = stamp_s(frame, stream, self._info, default_s=held[0].end_s if held else 0.0)
            if frame.is_corrupt:
                damage.lose(start_s)
                damage.at_entry |= held is None and isinstance(frame, VideoFrame) and bool(frame.key_frame)
                continue
            if not isinstance(frame, VideoFrame):
                continue
            # Beyond a duration that is said to be too short, pictures go on where the one before, or a seek, has been.
            before_s = held[0].start_s if held else float(self._times_s[0])
            if start_s > max(latest_s, before_s + STAMP_SLACK_S):
                damage.lose(self._info.duration_s)
                continue
            lead_s = 0.0 if held else self._frame_s
            if held is not None and start_s <= held[0].start_s:
                if not last_s < start_s < held[0].start_s:
                    if any(from_s < start_s < to_s for from_s, to_s in bare_s):
                        damage.lose(start_s)
                    continue  # a second one of that time, or where recordings have been joined
                damage.lose(start_s)
            elif held is not None:
                yield held
                last_s = held[0].start_s
                if start_s - last_s > _BARE_S:
                    bare_s.append((last_s, start_s))
            own_s = max(float(frame.duration * (stream.time_base or 0)), self._frame_s)
            held = _Shown(frame, start_s - lead_s, start_s + own_s), damage.losses
        if held is not None:
            yield held
