"""The sound of a video, mono at one rate, streamed in pieces on the video's clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer

from avlib.errors import MediaError, ParameterError
from avlib.media.opening import check_codec, open_media
from avlib.media.probe import MediaInfo
from avlib.media.reading import Damage, note_missing_end, nothing_decoded
from avlib.media.runs import SoundFormat, SoundPiece, sound_pieces

GAP_S = 0.1
"""A hole in the sound longer than this is reported as damage."""


class SoundReader:
    """Iterate to get the chosen sound stream in pieces (SoundPiece), mixed to mono and resampled.

    Every run of frames is placed by its presentation time stamps, so that late starts and gaps stay where they are;
    pieces ascend and do not overlap. Memory does not grow with the duration. What lies after until_s is left out and
    counts as damage. Iterating raises MediaError when nothing at all can be decoded.
    """

    damage: str | None
    """After iterating: None, or what is missing, in words."""
    goes_back: bool
    """After iterating: whether time goes back in it; then seeking may end in another part of it."""

    def __init__(self, path: Path, info: MediaInfo, *, sample_rate_hz: int, until_s: float = float("inf")) -> None:
        if sample_rate_hz < 1:
            raise ParameterError("sample_rate_hz", sample_rate_hz, "at least 1")
        self._path = path
        self._info = info
        self._target = SoundFormat(sample_rate_hz, channels=1)
        self._until_s = until_s
        self.damage, self.goes_back = None, False

    def __iter__(self) -> Iterator[SoundPiece]:
        self.damage, self.goes_back = None, False
        damage, gaps = Damage(), _Gaps(self._target.sample_rate_hz)
        with open_media(self._path) as container:
            stream = sound_stream(self._path, container, self._info)
            window_s = (0.0, self._until_s)
            for piece in sound_pieces(container, stream, self._info, damage, target=self._target, window_s=window_s):
                gaps.add(piece)
                yield piece
            if gaps.end is None:
                raise nothing_decoded(self._path, "sound", self._info.audio_codec, damage)
            last_s = gaps.end / self._target.sample_rate_hz
            if damage.at_end:
                note_missing_end(stream, self._info, damage, last_s=last_s)
            else:
                damage.note(f"only the first {self._until_s:g} s are read")
        gaps.note(damage)
        self.damage, self.goes_back = damage.sentence(), damage.goes_back


def sound_stream(path: Path, container: InputContainer, info: MediaInfo) -> AudioStream:
    """The sound stream that `probe` chose, ready to be decoded. Raises MediaError where there is none."""
    if info.audio_stream is None:
        raise MediaError(path, "it has no sound track", error_class="no_streams")
    stream = container.streams[info.audio_stream]
    if not isinstance(stream, AudioStream) or stream.codec_context is None:
        raise MediaError(path, "its sound is in a format that cannot be decoded", error_class="undecodable")
    check_codec(path, stream.codec_context)
    return stream


class _Gaps:
    """The holes between pieces: how many, and the first three."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._count = 0
        self._first: list[str] = []
        self.end: int | None = None

    def add(self, piece: SoundPiece) -> None:
        if self.end is not None and piece.first - self.end > GAP_S * self._rate_hz:
            self._count += 1
            if self._count <= 3:
                self._first.append(f"{self.end / self._rate_hz:.2f}-{piece.first / self._rate_hz:.2f} s")
        self.end = piece.end

    def note(self, damage: Damage) -> None:
        if self._count:
            more = f" and {self._count - 3} more" if self._count > 3 else ""
            damage.note("no sound at " + ", ".join(self._first) + more)
