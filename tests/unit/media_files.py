"""Video files made for the tests: a white flash and a click at known times; and MP4 files edited as others do."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CLICK_S = 0.004
FRAME_RATE_HZ = 25


def clicks(times_s: Sequence[float], *, duration_s: float, rate_hz: int, channels: int) -> np.ndarray:
    """Silence with short bursts (a 1 kHz tone in a Hann window) centred on the given times."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    waveform = np.zeros(time_s.size)
    for centre_s in times_s:
        near = np.abs(time_s - centre_s) < CLICK_S / 2
        offset_s = time_s[near] - centre_s
        waveform[near] = 0.8 * np.cos(2 * np.pi * 1000 * offset_s) * np.cos(np.pi * offset_s / CLICK_S) ** 2
    return np.tile(waveform.astype(np.float32), (channels, 1))


def write_flash_and_click(
    path: Path,
    *,
    video_codec: str,
    audio_codec: str | None,
    times_s: Sequence[float],
    duration_s: float = 12.0,
    starts_s: Sequence[float] | None = None,
    keyframe_every: int | None = None,
    rate_hz: int = 48000,
    layout: str = "stereo",
    sound_from_s: float = 0.0,
    live: bool = False,
) -> None:
    """A dark noisy video, white for one frame at each time, with a click in the middle of that frame.

    starts_s: when frames begin, in whole milliseconds; 25 a second unless given.  layout: FFmpeg's name for it.
    live: written as browsers record, without a duration or an index.
    """
    even = starts_s is None
    tick_s = Fraction(1, FRAME_RATE_HZ if even else 1000)
    starts = np.arange(round(duration_s * FRAME_RATE_HZ)) / FRAME_RATE_HZ if even else np.array(starts_s)
    ends = np.append(starts[1:], duration_s)
    flashes = [int(np.abs(starts - t).argmin()) for t in times_s]
    middle_s = [t + (ends[index] - starts[index]) / 2 for t, index in zip(times_s, flashes, strict=True)]
    channels = av.AudioLayout(layout).nb_channels
    waveform = clicks(middle_s, duration_s=duration_s, rate_hz=rate_hz, channels=channels)
    noise = np.random.default_rng(0).integers(0, 64, (120, 160, 3)).astype(np.uint8)
    with av.open(str(path), "w", options={"live": "1"} if live else {}) as container:
        options = {"deadline": "realtime", "cpu-used": "8"} if video_codec == "libvpx" else {}
        if keyframe_every is not None:
            options["g"] = str(keyframe_every)
        video = container.add_stream(video_codec, rate=FRAME_RATE_HZ, options=options)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        video.codec_context.time_base = tick_s
        opus = {"mapping_family": "2"} if layout.startswith("ambisonic") else {}
        audio = container.add_stream(audio_codec, rate=rate_hz, layout=layout, options=opus) if audio_codec else None
        if audio is not None:
            resampler = av.AudioResampler(format=audio.codec_context.format, layout=layout, rate=rate_hz)
        for index, (start_s, end_s) in enumerate(zip(starts, ends, strict=True)):
            picture = noise + np.uint8(190 if index in flashes else 0)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(start_s / tick_s), tick_s
            container.mux(video.encode(frame))
            if audio is None or start_s < sound_from_s:
                continue
            first = round(start_s * rate_hz)
            piece = np.ascontiguousarray(waveform[:, first : round(end_s * rate_hz)])
            sound = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
            sound.sample_rate, sound.pts, sound.time_base = rate_hz, first, Fraction(1, rate_hz)
            for converted in resampler.resample(sound):
                container.mux(audio.encode(converted))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))


def edit_track(path: Path, kind: str, *, trim_s: float, delay_s: float = 0.0) -> None:
    """Edit a track of an MP4 file as editors do that encode nothing anew: in the track's edit list alone.

    kind: "vide" or "soun".  trim_s: what of its beginning is cut away.  delay_s: what it waits before the rest.
    """
    content = bytearray(path.read_bytes())
    index = content.rindex(b"moov")  # after the media, which stays where it is
    movie_hz = _number(content, content.index(b"mvhd", index) + 16)
    handler = re.compile(b"hdlr.{8}" + kind.encode(), re.DOTALL).search(content, index)
    assert handler is not None
    track = content.rindex(b"trak", index, handler.start())
    edits = content.index(b"elst", track)
    media_hz = _number(content, content.index(b"mdhd", track) + 16)
    count, duration, media_time = struct.unpack_from(">IIi", content, edits + 8)
    assert count == 1 and media_time >= 0
    kept = (duration - round(trim_s * movie_hz), media_time + round(trim_s * media_hz), 1 << 16)
    waiting = [(round(delay_s * movie_hz), -1, 1 << 16)] if delay_s else []
    entries = b"".join(struct.pack(">IiI", *entry) for entry in [*waiting, kept])
    content[edits + 8 : edits + 24] = struct.pack(">I", len(entries) // 12) + entries
    for box in (b"moov", b"trak", b"edts", b"elst"):
        size = content.rindex(box, 0, edits + 4) - 4
        struct.pack_into(">I", content, size, _number(content, size) + len(entries) - 12)
    path.write_bytes(content)


def shorten_index(path: Path, kind: str, box: bytes) -> None:
    """Have the index of an MP4 file name half of a track's frames only, as damage may.

    kind: "vide" or "soun".  box: b"stsz" or b"stco", of frames or of chunks of them.
    """
    content = bytearray(path.read_bytes())
    handler = re.compile(b"hdlr.{8}" + kind.encode(), re.DOTALL).search(content, content.rindex(b"moov"))
    assert handler is not None
    count = content.index(box, handler.start()) + {b"stsz": 12, b"stco": 8}[box]
    struct.pack_into(">I", content, count, _number(content, count) // 2)
    path.write_bytes(content)


def turn_pictures(path: Path, *, clockwise_deg: int) -> None:
    """Have the pictures of an MP4 file turned for display, as telephones do."""
    across, along = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise_deg]
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd", content.rindex(b"moov")) + 44
    struct.pack_into(">iiiii", content, matrix, *(part << 16 for part in (across, along, 0, -along, across)))
    path.write_bytes(content)


def _number(content: bytes, place: int) -> int:
    return int.from_bytes(content[place : place + 4], "big")
