"""A picture and a sound as one small film: MP4 with H.264 and AAC, which every browser and phone plays."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from avlib.arrays import UInt8Array
from avlib.retrieval.sounds import Sound

MOST_PX = 1280
"""Longer side of the film's picture, at most."""

_FRAME_RATE_HZ = 10
_SOUND_RATE_HZ = 48_000


def film(picture: UInt8Array, sound: Sound) -> bytes:
    """An MP4 that shows a picture for as long as a sound lasts.  picture: shape (height, width, 3), RGB."""
    shown = _fitted(picture)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=_FRAME_RATE_HZ, options={"tune": "stillimage", "threads": "1"})
        audio = container.add_stream("aac", rate=_SOUND_RATE_HZ, layout="stereo")
        assert isinstance(video, VideoStream) and isinstance(audio, AudioStream)
        video.height, video.width, video.pix_fmt = *shown.shape[:2], "yuv420p"
        for number in range(max(1, round(sound.duration_s * _FRAME_RATE_HZ))):
            frame = VideoFrame.from_ndarray(shown, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, _FRAME_RATE_HZ)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        resampler = AudioResampler(audio.format, "stereo", _SOUND_RATE_HZ, frame_size=audio.frame_size)
        for piece in (*resampler.resample(_audio_frame(sound)), *resampler.resample(None)):
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
    return file.getvalue()


def _audio_frame(sound: Sound) -> AudioFrame:
    channels = np.ascontiguousarray(sound.waveform.T)
    frame = AudioFrame.from_ndarray(channels, format="fltp", layout="mono" if len(channels) == 1 else "stereo")
    frame.sample_rate, frame.pts, frame.time_base = sound.sample_rate_hz, 0, Fraction(1, sound.sample_rate_hz)
    return frame


def _fitted(picture: UInt8Array) -> UInt8Array:
    """No larger than MOST_PX, at least 16 pixels, sides even as H.264's colours need them."""
    height, width = picture.shape[:2]
    scale = min(1.0, MOST_PX / max(height, width))
    size = tuple(max(16, 2 * round(side * scale / 2)) for side in (width, height))
    if size == (width, height):
        return np.ascontiguousarray(picture)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
