"""The sound descriptors, MFCCs beside librosa called per frame and window, and the RMS pre-filter: CPU seconds.

One thread, one minute of sound at 25 frames a second. Nothing fails by its figures; the numbers must agree.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable

import librosa
import numpy as np
from threadpoolctl import threadpool_limits

from avlib.arrays import Float32Array, Float64Array
from avlib.config import load_settings
from avlib.descriptors import RmsMeter, audio_context, loud_frames, mfcc_windows
from avlib.media import JITTER_S

MINUTE_S = 60
SAMPLED = 100  # frames that librosa describes; it takes the same time for each
SETTINGS, CONTEXT = load_settings().describe.audio, load_settings().describe.audio_context


def minute() -> Float32Array:
    """Tones that come and go over noise: nothing that a transform could take a short cut on."""
    random = np.random.default_rng(0)
    t = np.arange(MINUTE_S * SETTINGS.sr) / SETTINGS.sr
    tones = sum(np.sin(2 * np.pi * hertz * t + 3 * np.sin(t / 3)) for hertz in (110, 440, 1760))
    return (0.1 * tones * np.sin(t) ** 2 + 0.01 * random.normal(size=t.size)).astype(np.float32)


def librosa_alone(waveform: Float32Array, times_s: Float64Array) -> Float32Array:
    rows = []
    for time_s in times_s:
        for frames in SETTINGS.window_frames:
            length = round(frames * SETTINGS.sr / 25)
            first = round(time_s * SETTINGS.sr) - length // 2
            window = waveform[first : first + length]
            options = {"n_fft": length, "hop_length": length, "center": False, "n_mels": SETTINGS.n_mels}
            rows.append(librosa.feature.mfcc(y=window, sr=SETTINGS.sr, n_mfcc=13, fmax=SETTINGS.fmax, **options)[:, 0])
    return np.array(rows, dtype=np.float32).reshape(len(times_s), -1)


def cpu_s(work: Callable[[], object], *, times: int) -> float:
    """The median of some runs, after one that fills the caches."""
    work()
    runs = []
    for _ in range(times):
        started_s = time.process_time()
        work()
        runs.append(time.process_time() - started_s)
    return float(np.median(runs))


def test_mfcc_and_loudness() -> None:
    waveform = minute()
    times_s = np.arange(25, 25 * (MINUTE_S - 1)) / 25
    chosen = times_s[:: len(times_s) // SAMPLED]

    def ours(at_s: Float64Array) -> Float32Array:
        return mfcc_windows(waveform, times_s=at_s, frame_rate_hz=25, settings=SETTINGS)

    def loud() -> object:
        """In pieces of a second, about as they come out of the decoding process."""
        meter = RmsMeter(frame_rate_hz=25, sample_rate_hz=SETTINGS.sr, joined_s=JITTER_S)
        for first in range(0, waveform.size, SETTINGS.sr):
            meter.add(first, waveform[first : first + SETTINGS.sr])
        return loud_frames(meter.finish())

    def context() -> object:
        sounding_s = (0.0, float(MINUTE_S))
        return audio_context(
            waveform, times_s=times_s, sounding_s=sounding_s, sample_rate_hz=SETTINGS.sr, settings=CONTEXT
        )

    with threadpool_limits(1):
        difference = float(np.abs(ours(chosen) - librosa_alone(waveform, chosen)).max())
        ours_s = cpu_s(lambda: ours(times_s), times=9) / len(times_s)
        librosa_s = cpu_s(lambda: librosa_alone(waveform, chosen), times=3) / len(chosen)
        context_s = cpu_s(context, times=9)
        loud_s = cpu_s(loud, times=9)
    print(
        f"\n{platform.machine()}, {os.cpu_count()} cores, one thread; 25 frames a second, 5 windows, 65 numbers a frame"
    )
    print(f"  MFCC           {1500 * ours_s:8.3f} s a minute, largest difference {difference:.1e}")
    print(f"  librosa        {1500 * librosa_s:8.3f} s a minute, {librosa_s / ours_s:.0f} times as long (wanted: 50)")
    print(
        f"  audio_context  {context_s:8.3f} s a minute, {context_s / (1500 * ours_s):.2f} of the MFCCs of every frame"
    )
    print(f"  RMS pre-filter {1000 * loud_s:8.1f} ms a minute (wanted: at most 40)")
    assert difference < 1e-3
