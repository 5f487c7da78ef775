"""Cut a stretch of sound out of a video, exact to the sample, without decoding all that lies before it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.error import FFmpegError

from avlib.arrays import Float32Array
from avlib.errors import MediaError, ParameterError
from avlib.media.opening import open_media
from avlib.media.probe import MediaInfo
from avlib.media.reading import Damage, seek
from avlib.media.runs import SoundFormat, SoundPiece, place, sound_pieces
from avlib.media.sound import sound_stream

_PREROLL_S = 1.0
"""Read before the wanted start: decoders need some frames to settle, and the placing needs stamps."""

_BACK_OFF = 8
_STAMP_ROUNDING_S = 0.002

_EXACT_SEEK = ("mov,", "matroska", "avi", "mpeg", "flv", "wav")
"""Formats whose stamps are exact after a seek; others (raw MP3, AAC …) are read from the beginning."""


def cut_sound(path: Path, info: MediaInfo, *, start_s: float, duration_s: float) -> tuple[Float32Array, int, float]:
    """The sound from start_s on, for duration_s. Returns (waveform, rate, start): float32 (n, channels), Hz, s.

    In [-1, 1], at the native rate, mono or stereo (more are mixed down); n = round(duration_s · rate).
    A stretch that reaches beyond the first or last sound is shifted to fit between them, and start says where it begins
    then; where all there is is shorter, all of it comes. Gaps inside are zeros. Raises MediaError when there is no
    sound or none can be decoded, ParameterError for a duration that is not positive or a start that is negative.
    """
    if not 0 <= start_s < float("inf"):
        raise ParameterError("start_s", start_s, "0 or more seconds")
    if not 0 < duration_s < float("inf"):
        raise ParameterError("duration_s", duration_s, "a positive number of seconds")
    if info.audio_rate_hz is None or info.channels is None:
        raise MediaError(path, "it has no sound that can be decoded", error_class="no_streams")
    rate_hz = info.audio_rate_hz
    target = SoundFormat(rate_hz, channels=min(info.channels, 2))
    start_s = max(start_s, info.sound_start_s or 0.0)
    stretch = _read_around(path, info, target, start_s=start_s, duration_s=duration_s)
    last_s = stretch.pieces[-1].end / rate_hz
    if stretch.at_end and last_s < start_s + duration_s:
        start_s = max(info.sound_start_s or 0.0, last_s - duration_s)
        stretch = _read_around(path, info, target, start_s=start_s, duration_s=duration_s)
        last_s = stretch.pieces[-1].end / rate_hz
    available_s = last_s - start_s
    if not stretch.at_end or available_s > duration_s - _STAMP_ROUNDING_S:
        available_s = duration_s
    first, samples = round(start_s * rate_hz), round(available_s * rate_hz)
    waveform = place(stretch.pieces, channels=target.channels, first=first, samples=samples)
    return np.ascontiguousarray(waveform.T), rate_hz, first / rate_hz


def sound_between(path: Path, info: MediaInfo, *, sample_rate_hz: int, start_s: float, end_s: float) -> Float32Array:
    """The sound of [start_s, end_s) as SoundReader gives it, without decoding all that lies before. Shape (n,).

    n = round((end_s - start_s) · sample_rate_hz); zeros where there is none. start_s may lie before 0. Decoders of
    noise-like sound make other noise after a seek. Raises MediaError when none in it can be decoded.
    """
    target = SoundFormat(sample_rate_hz, channels=1)
    stretch = _read_around(path, info, target, start_s=max(start_s, 0.0), duration_s=end_s - max(start_s, 0.0))
    samples = round((end_s - start_s) * sample_rate_hz)
    waveform: Float32Array = place(stretch.pieces, channels=1, first=round(start_s * sample_rate_hz), samples=samples)[
        0
    ]
    return waveform


@dataclass(frozen=True)
class _Stretch:
    pieces: list[SoundPiece]
    from_before: bool
    """Whether there is sound at or before the wanted start."""
    at_end: bool
    """Whether the last piece is the stream's last."""


def _read_around(path: Path, info: MediaInfo, target: SoundFormat, *, start_s: float, duration_s: float) -> _Stretch:
    """Pieces from before start_s to the wanted end; goes back as far as it takes to find sound there."""
    back_s = _PREROLL_S
    while True:
        stretch = _read(path, info, target, window_s=(start_s - back_s, start_s + duration_s), start_s=start_s)
        if stretch.from_before:
            return stretch
        if back_s >= start_s:  # that was all there is
            break
        back_s *= _BACK_OFF
    if not stretch.pieces:
        reason = f"no sound in it can be decoded ({info.audio_codec})"
        raise MediaError(path, reason, error_class="undecodable")
    return stretch


def _read(
    path: Path, info: MediaInfo, target: SoundFormat, *, window_s: tuple[float, float], start_s: float
) -> _Stretch:
    """Pieces of a window; of those that end before start_s only the last."""
    damage, pieces, from_before = Damage(), list[SoundPiece](), False
    first = start_s * target.sample_rate_hz
    with open_media(path) as container:
        stream = sound_stream(path, container, info)
        if window_s[0] > 0 and info.seekable and info.container.startswith(_EXACT_SEEK):
            with suppress(FFmpegError):  # what cannot be sought in is read from the beginning
                seek(container, stream, info, time_s=window_s[0])
        for piece in sound_pieces(container, stream, info, damage, target=target, window_s=window_s):
            from_before = from_before or piece.first <= first
            if pieces and pieces[-1].end < first:
                pieces.pop()
            pieces.append(piece)
    return _Stretch(pieces, from_before, damage.at_end)
