"""MFCCs against librosa.feature.mfcc, called once for each frame and window."""

from __future__ import annotations

import tracemalloc
import warnings

import librosa
import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from avlib.config import AudioSettings
from avlib.descriptors import mfcc_windows
from avlib.errors import ParameterError

DEFAULT = AudioSettings()
SETTINGS = {
    "default": DEFAULT,
    "other_bands": AudioSettings(n_mels=64, n_mfcc=20, fmin=60.0, fmax=6000.0, htk=True, mel_norm=None),
    "other_window": AudioSettings(window="hamming", power=1.0, lifter=22.0, window_frames=(2, 4)),
    "other_floor": AudioSettings(top_db=40.0, amin=1e-6, ref=0.5),
    "no_floor": AudioSettings(top_db=300.0),
    "other_transform": AudioSettings(dct_type=3, n_mels=30),
    "unscaled_transform": AudioSettings(dct_type=1, norm=None, n_mels=24),
    "other_rate": AudioSettings(sr=22050, fmax=11025.0),
    "low_rate": AudioSettings(sr=8000, fmax=4000.0, window="boxcar"),
}


def reference(waveform, *, times_s, frame_rate_hz, settings):
    """librosa, one call a window. librosa.feature.mfcc takes amin, ref and top_db only through S."""
    rows = []
    for time_s in times_s:
        for frames in settings.window_frames:
            length = round(frames * settings.sr / frame_rate_hz)
            start = round(time_s * settings.sr) - length // 2
            padded = np.pad(waveform, (length, length))
            first = int(np.clip(start + length, 0, len(padded) - length))
            spectrum = librosa.feature.melspectrogram(
                y=padded[first : first + length],
                sr=settings.sr,
                n_fft=length,
                hop_length=length,
                win_length=length,
                center=False,
                window=settings.window,
                power=settings.power,
                n_mels=settings.n_mels,
                fmin=settings.fmin,
                fmax=settings.fmax,
                htk=settings.htk,
                norm=settings.mel_norm,
            )
            decibels = librosa.power_to_db(spectrum, ref=settings.ref, amin=settings.amin, top_db=settings.top_db)
            mfcc = librosa.feature.mfcc(
                S=decibels,
                sr=settings.sr,
                n_mfcc=settings.n_mfcc,
                dct_type=settings.dct_type,
                norm=settings.norm,
                lifter=settings.lifter,
            )
            assert mfcc.shape == (settings.n_mfcc, 1)
            rows.append(mfcc[:, 0])
    return np.array(rows, dtype=np.float32).reshape(len(times_s), -1)


def synthetic(rate_hz: int) -> dict[str, np.ndarray]:
    """Two seconds each of what sound can do to a logarithm."""
    rng = np.random.default_rng(7)
    t = np.arange(2 * rate_hz) / rate_hz
    lowpass = scipy.signal.ellip(8, 0.1, 76, 0.2)
    sounds = {
        "noise": 0.2 * rng.normal(size=t.size),
        "faint_noise": 1e-5 * rng.normal(size=t.size),
        "deep_lowpass": 0.2 * scipy.signal.lfilter(*lowpass, rng.normal(size=t.size)),
        "tone": 0.8 * np.sin(2 * np.pi * 440 * t),
        "clipping": np.clip(5 * np.sin(2 * np.pi * 1000.3 * t), -1, 1),
        "clicks": (rng.random(t.size) < 1e-3).astype(float),
        "silence": np.zeros(t.size),
        "offset": np.full(t.size, 0.9),
        "loud_then_faint": np.where(t < 1, 0.9 * np.sin(2 * np.pi * 100 * t), 1e-6 * rng.normal(size=t.size)),
        "tone_over_faint_noise": 0.9 * np.sin(2 * np.pi * 700 * t) + 2e-5 * rng.normal(size=t.size),
        "tone_over_fainter_noise": 0.9 * np.sin(2 * np.pi * 3000 * t) + 4e-6 * rng.normal(size=t.size),
        "offset_over_faint_noise": 0.9 + 1e-5 * rng.normal(size=t.size),
        "sweep": scipy.signal.chirp(t, 50, 2, 0.49 * rate_hz),
    }
    return {name: sound.astype(np.float32) for name, sound in sounds.items()}


@pytest.mark.parametrize("frame_rate_hz", [25.0, 30000 / 1001])
@pytest.mark.parametrize("name", SETTINGS)
def test_equals_librosa_on_synthetic_sound(name, frame_rate_hz):
    audio = SETTINGS[name]
    times_s = np.arange(-1, 54, 6) / frame_rate_hz  # from before the sound to its end
    for sound, waveform in synthetic(audio.sr).items():
        found = mfcc_windows(waveform, times_s=times_s, frame_rate_hz=frame_rate_hz, settings=audio)
        expected = reference(waveform, times_s=times_s, frame_rate_hz=frame_rate_hz, settings=audio)
        # Unscaled coefficients run to thousands, where float32 itself is coarser than 1e-3.
        rtol = 0 if audio.norm == "ortho" else 1e-6
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=1e-3, err_msg=sound)


def test_default_equals_librosa_feature_mfcc_called_directly():
    waveform = synthetic(16000)["noise"]
    found = mfcc_windows(waveform, times_s=np.array([1.0]), frame_rate_hz=25, settings=DEFAULT)
    for column, length in enumerate((640, 1920, 3200, 4480, 5760)):
        window = waveform[16000 - length // 2 : 16000 - length // 2 + length]
        expected = librosa.feature.mfcc(
            y=window, sr=16000, n_mfcc=13, n_fft=length, hop_length=length, center=False, n_mels=40, fmax=8000
        )
        np.testing.assert_allclose(found[0, 13 * column : 13 * column + 13], expected[:, 0], atol=1e-3)


@pytest.mark.parametrize("name", ["default", "other_bands", "other_rate"])
def test_equals_librosa_on_recordings(shared_data, name):
    audio = SETTINGS[name]
    recordings = sorted((shared_data / "collection" / "heldout_sounds").glob("*/*"))[::8]
    assert recordings
    for recording in recordings:
        waveform, _ = librosa.load(recording, sr=audio.sr, duration=4.0)
        times_s = np.arange(0, waveform.size / audio.sr, 0.48)
        found = mfcc_windows(waveform, times_s=times_s, frame_rate_hz=25, settings=audio)
        expected = reference(waveform, times_s=times_s, frame_rate_hz=25, settings=audio)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3, err_msg=str(recording))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), samples=st.integers(0, 9000), frames=st.integers(1, 12))
def test_any_length_of_sound_and_any_times(seed, samples, frames):
    rng = np.random.default_rng(seed)
    waveform = rng.normal(size=samples).astype(np.float32)
    times_s = rng.uniform(-1, samples / 16000 + 1, frames)
    found = mfcc_windows(waveform, times_s=times_s, frame_rate_hz=25, settings=DEFAULT)
    expected = reference(waveform, times_s=times_s, frame_rate_hz=25, settings=DEFAULT)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_a_frame_does_not_depend_on_its_batch():
    waveform = synthetic(16000)["noise"]
    times_s = np.arange(50) / 25
    together = mfcc_windows(waveform, times_s=times_s, frame_rate_hz=25, settings=DEFAULT)
    for i in (0, 13, 49):
        alone = mfcc_windows(waveform, times_s=times_s[i : i + 1], frame_rate_hz=25, settings=DEFAULT)
        np.testing.assert_allclose(alone[0], together[i], rtol=0, atol=1e-4)


def test_shape_type_and_no_frames():
    waveform = np.zeros(16000, np.float32)
    none = mfcc_windows(waveform, times_s=np.zeros(0), frame_rate_hz=25, settings=DEFAULT)
    assert none.shape == (0, 65) and none.dtype == np.float32
    silence = mfcc_windows(waveform, times_s=np.array([0.5]), frame_rate_hz=25, settings=DEFAULT)
    assert np.isfinite(silence).all() and silence.dtype == np.float32


def test_memory_does_not_grow_with_the_number_of_frames():
    waveform = np.zeros(16000 * 60, np.float32)
    times_s = np.arange(1500 * 4) / 100
    tracemalloc.start()
    try:
        found = mfcc_windows(waveform, times_s=times_s, frame_rate_hz=25, settings=DEFAULT)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes - found.nbytes < 32 << 20


def test_no_empty_mel_filters_by_default():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh = AudioSettings(n_mels=39)
        mfcc_windows(np.zeros(100, np.float32), times_s=np.zeros(1), frame_rate_hz=25, settings=fresh)


@pytest.mark.parametrize(
    ("shape", "frame_rate_hz", "window", "parameter"),
    [
        ((2, 100), 25.0, "hann", "waveform"),
        ((100,), 0.0, "hann", "frame_rate_hz"),
        ((100,), float("nan"), "hann", "frame_rate_hz"),
        ((100,), 64000.0, "hann", "frame_rate_hz"),
        ((100,), 25.0, "nonsense", "window"),
    ],
)
def test_refuses(shape, frame_rate_hz, window, parameter):
    with pytest.raises(ParameterError, match=f"^{parameter} = "):
        mfcc_windows(
            np.zeros(shape, np.float32),
            times_s=np.zeros(1),
            frame_rate_hz=frame_rate_hz,
            settings=AudioSettings(window=window),
        )
