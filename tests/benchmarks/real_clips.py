"""Videos of real pictures and sounds for benchmarks, cut from the labelled collection."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.resampler import AudioResampler

WIDTH, HEIGHT, FRAME_RATE_HZ, SAMPLE_RATE_HZ = 640, 360, 25, 44_100


def write_clip(path: Path, sources: list[Path], *, duration_s: float) -> None:
    """A clip of 640 x 360 at 25 Hz with mono sound: the sources one after another, H.264 and AAC in MP4."""
    frames = round(duration_s * FRAME_RATE_HZ)
    pictures = (picture for source in cycle(sources) for picture in _pictures(source))
    sound = (piece for source in cycle(sources) for piece in _sound(source))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FRAME_RATE_HZ, options={"preset": "veryfast", "crf": "23"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono")
        for index, picture in zip(range(frames), pictures, strict=False):
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, FRAME_RATE_HZ)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        written = 0
        for piece in sound:
            if written >= duration_s * SAMPLE_RATE_HZ:
                break
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE_HZ, written, Fraction(1, SAMPLE_RATE_HZ)
            written += piece.shape[1]
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def write_repeated(path: Path, clip: Path, *, times: int) -> None:
    """The packets of a clip, again and again: hours of video in seconds."""
    with av.open(str(clip)) as source:
        period_s = source.duration / 1e6 + 0.03  # room for the encoder's priming
    with av.open(str(path), "w") as target:
        streams: dict[int, Any] = {}
        for number in range(times):
            with av.open(str(clip)) as source:
                for stream in source.streams if not streams else ():
                    streams[stream.index] = target.add_stream_from_template(stream)
                for packet in source.demux():
                    if packet.dts is None:
                        continue
                    shift = round(number * period_s / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = streams[packet.stream_index]
                    target.mux(packet)


def _pictures(source: Path) -> Iterator[np.ndarray]:
    with av.open(str(source)) as container:
        for frame in container.decode(video=0):
            yield frame.reformat(WIDTH, HEIGHT, "yuv420p").to_ndarray()


def _sound(source: Path) -> Iterator[np.ndarray]:
    resampler = AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE_HZ, frame_size=1024)
    with av.open(str(source)) as container:
        for frame in container.decode(audio=0):
            yield from (piece.to_ndarray() for piece in resampler.resample(frame))
