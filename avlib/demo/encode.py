"""Write pictures and sound to a video file with the FFmpeg that PyAV carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from avlib.arrays import Float32Array, UInt8Array
from avlib.demo.plan import Format

_CODEC_OPTIONS = {
    "libx264": {"preset": "veryfast", "crf": "25"},
    "libvpx": {"deadline": "realtime", "cpu-used": "-8", "crf": "24"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "34"},
    "mpeg4": {},
}
_PICTURE_BITS_PER_S = 280_000
_SOUND_BITS_PER_S = 64_000
_SOUND_BLOCK = 4096


def write_video(path: Path, form: Format, pictures: Iterable[UInt8Array], sound: Float32Array) -> None:
    """Write a file with one picture and one sound stream, both from time 0.

    pictures: (height, width, 3) RGB each, of form.size_px.  sound: (samples, channels), in [-1, 1].
    The same input gives the same bytes. An existing file is overwritten.
    """
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream(
            form.video_codec, rate=form.frame_rate_hz, options=_CODEC_OPTIONS[form.video_codec]
        )
        audio = container.add_stream(form.audio_codec, rate=form.audio_rate_hz)
        assert isinstance(video, VideoStream) and isinstance(audio, AudioStream)
        video.width, video.height = form.size_px
        video.pix_fmt = "yuv420p"
        video.codec_context.thread_count = 1
        if form.video_codec != "libx264":
            video.bit_rate = _PICTURE_BITS_PER_S
        audio.layout = "mono" if form.channels == 1 else "stereo"
        audio.bit_rate = _SOUND_BITS_PER_S
        blocks = _sound_frames(sound, form)
        heard_s = 0.0
        for index, picture in enumerate(pictures):
            # Interleaved as they go, so that the muxer never holds back much of either stream.
            while heard_s <= index / form.frame_rate_hz and (block := next(blocks, None)):
                container.mux(audio.encode(block))
                heard_s += block.samples / form.audio_rate_hz
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, form.frame_rate_hz)
            container.mux(video.encode(frame))
        for block in blocks:
            container.mux(audio.encode(block))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def _sound_frames(sound: Float32Array, form: Format) -> Iterator[av.AudioFrame]:
    layout = "mono" if form.channels == 1 else "stereo"
    for start in range(0, len(sound), _SOUND_BLOCK):
        block = np.ascontiguousarray(sound[start : start + _SOUND_BLOCK].T)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = form.audio_rate_hz, start
        frame.time_base = Fraction(1, form.audio_rate_hz)
        yield frame
