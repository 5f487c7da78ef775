"""Pictures and sounds small enough to live inside a page: JPEG and MP3, which every browser knows."""

from __future__ import annotations

import base64
import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from PIL import Image

from avlib.arrays import Float32Array, Float64Array, UInt8Array
from avlib.errors import AvlibError
from avlib.media import load_picture
from avlib.sources import Sources

THUMBNAIL_PX = 144
SOUND_S = 2.0

_JPEG_QUALITY = 72
_SOUND_RATE_HZ = 24_000
_SOUND_BITS_PER_S = 40_000


def thumbnails(sources: Sources, uri: str, times_s: Float64Array) -> list[str | None]:
    """The pictures on display at these times, as data URIs; None where there is none, or the video is gone.

    times_s: shape (n,), ascending.
    """
    found: list[str | None] = [None] * len(times_s)
    try:
        with sources.open(uri) as video:
            for indexes, pictures in video.pictures(video.probe(), times_s=times_s, size_px=THUMBNAIL_PX):
                for index, picture in zip(indexes, pictures, strict=True):
                    found[index] = _jpeg(picture)
    except AvlibError:
        return found
    return found


def still(path: Path) -> str | None:
    """A query picture as a data URI, cropped as the descriptor sees it; None where it cannot be read."""
    try:
        return _jpeg(load_picture(path, size_px=THUMBNAIL_PX))
    except AvlibError:
        return None


def sound(sources: Sources, uri: str, time_s: float) -> str | None:
    """Two seconds of sound around a time, as a data URI; None where there is none, or the video is gone."""
    try:
        with sources.open(uri) as video:
            start_s = max(0.0, time_s - SOUND_S / 2)
            waveform, rate_hz, _ = video.cut_sound(video.probe(), start_s=start_s, duration_s=SOUND_S)
    except AvlibError:
        return None
    return playable(waveform, sample_rate_hz=rate_hz)


def playable(waveform: Float32Array, *, sample_rate_hz: int) -> str:
    """A short sound as a data URI.  waveform: shape (n, 1 or 2), in [-1, 1]."""
    return _data_uri("audio/mpeg", encode_mp3(waveform, sample_rate_hz=sample_rate_hz))


def encode_mp3(waveform: Float32Array, *, sample_rate_hz: int) -> bytes:
    """Mono MP3 of a short sound.  waveform: shape (n, 1 or 2), in [-1, 1]."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=_SOUND_RATE_HZ, layout="mono")
        assert isinstance(stream, AudioStream)
        stream.bit_rate = _SOUND_BITS_PER_S
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(waveform.T),
            format="fltp",
            layout="mono" if waveform.shape[1] == 1 else "stereo",
        )
        frame.sample_rate, frame.pts, frame.time_base = sample_rate_hz, 0, Fraction(1, sample_rate_hz)
        resampler = AudioResampler(stream.format, "mono", _SOUND_RATE_HZ, frame_size=stream.frame_size)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return file.getvalue()


def _jpeg(picture: UInt8Array) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return _data_uri("image/jpeg", file.getvalue())


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
