"""Video files made for the tests: a white flash and a click at known times."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CLICK_S = 0.004


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
    frame_rate_hz: int = 25,
    rate_hz: int = 48000,
    channels: int = 2,
    sound_from_s: float = 0.0,
    live: bool = False,
) -> None:
    """A dark noisy video, white for one frame at each time, with a click in the middle of that frame.

    live: written as browsers record, without a duration or an index.
    """
    flash_frames = {round(t * frame_rate_hz) for t in times_s}
    middle_s = [t + 0.5 / frame_rate_hz for t in times_s]
    waveform = clicks(middle_s, duration_s=duration_s, rate_hz=rate_hz, channels=channels)
    noise = np.random.default_rng(0).integers(0, 64, (120, 160, 3)).astype(np.uint8)
    with av.open(str(path), "w", options={"live": "1"} if live else {}) as container:
        fast = {"deadline": "realtime", "cpu-used": "8"} if video_codec == "libvpx" else {}
        video = container.add_stream(video_codec, rate=frame_rate_hz, options=fast)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
        audio = container.add_stream(audio_codec, rate=rate_hz, layout=layout) if audio_codec else None
        if audio is not None:
            resampler = av.AudioResampler(format=audio.codec_context.format, layout=layout, rate=rate_hz)
        chunk = rate_hz // frame_rate_hz
        for index in range(round(duration_s * frame_rate_hz)):
            picture = noise + np.uint8(190 if index in flash_frames else 0)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, frame_rate_hz)
            container.mux(video.encode(frame))
            if audio is None or index / frame_rate_hz < sound_from_s:
                continue
            piece = np.ascontiguousarray(waveform[:, index * chunk : (index + 1) * chunk])
            sound = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
            sound.sample_rate, sound.pts, sound.time_base = rate_hz, index * chunk, Fraction(1, rate_hz)
            for converted in resampler.resample(sound):
                container.mux(audio.encode(converted))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
