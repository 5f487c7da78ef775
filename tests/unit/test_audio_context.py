"""Log-mel tracks and audio_context against librosa, and stretches against the whole."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.signal

from avlib.config import ContextSettings, TrackSettings
from avlib.descriptors import audio_context, log_mel_track
from avlib.errors import ParameterError

RATE_HZ = 16_000
DEFAULT = ContextSettings()


def sound(seconds: float = 5.0, seed: int = 0) -> np.ndarray:
    """Noise through a filter that moves, over a tone: nothing in it stays the same."""
    rng = np.random.default_rng(seed)
    pieces = []
    for _ in range(round(seconds * 4)):
        b, a = scipy.signal.butter(2, rng.uniform(0.02, 0.9))
        pieces.append(rng.uniform(0.01, 0.3) * scipy.signal.lfilter(b, a, rng.normal(size=RATE_HZ // 4)))
    tone = 0.1 * np.sin(np.arange(round(seconds * 4) * RATE_HZ // 4) / 9)
    return (np.concatenate(pieces) + tone).astype(np.float32)


def librosa_track(waveform: np.ndarray, settings: TrackSettings) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=waveform.astype(np.float64),
        sr=RATE_HZ,
        n_fft=round(settings.frame_s * RATE_HZ),
        hop_length=RATE_HZ // settings.frames_hz,
        n_mels=settings.n_mels,
        fmin=settings.fmin,
        fmax=settings.fmax,
    )
    return librosa.power_to_db(power, amin=settings.amin, top_db=None).T


@pytest.mark.parametrize(
    "settings", [DEFAULT, TrackSettings(frames_hz=32, frame_s=0.05, n_mels=24, fmin=50, fmax=7000)]
)
@pytest.mark.filterwarnings("ignore:n_fft")
@pytest.mark.parametrize("samples", [0, 1, 319, 320, 50_001])
def test_tracks_are_librosas(settings: TrackSettings, samples: int) -> None:
    waveform = sound()[:samples]
    found = log_mel_track(waveform, sample_rate_hz=RATE_HZ, settings=settings)
    assert (
        found.shape == (1 + samples // (RATE_HZ // settings.frames_hz), settings.n_mels) and found.dtype == np.float32
    )
    expected = librosa_track(waveform, settings) if samples else np.full(found.shape, 10 * np.log10(settings.amin))
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("settings", [DEFAULT, ContextSettings(span_s=0.3, n_mfcc=7, slope_frames=5, n_mels=30)])
def test_context_is_the_mean_and_deviation_of_librosas_numbers(settings: ContextSettings) -> None:
    waveform = sound()
    mfcc = librosa.feature.mfcc(S=librosa_track(waveform, settings).T, n_mfcc=settings.n_mfcc)
    slopes = librosa.feature.delta(mfcc[:, :-1], width=settings.slope_frames, mode="nearest")
    frames = np.concatenate([mfcc[:, :-1], slopes])  # the last is centred where the sound has ended
    times_s = np.array([0.0, 4.99, 2.5, 0.123, 1.0])
    found = audio_context(waveform, times_s=times_s, sounding_s=(0.0, 5.0), sample_rate_hz=RATE_HZ, settings=settings)
    reach = round(settings.span_s * settings.frames_hz)
    for row, time_s in zip(found, times_s, strict=True):
        at = round(time_s * settings.frames_hz)
        near = frames[:, max(at - reach, 0) : at + reach + 1]
        np.testing.assert_allclose(row, np.concatenate([near.mean(axis=1), near.std(axis=1)]), atol=2e-3)


def test_a_stretch_gives_what_the_whole_gives() -> None:
    waveform = sound(12.0)
    times_s = np.arange(4.0, 8.0, 0.04)
    whole = audio_context(waveform, times_s=times_s, sounding_s=(0.0, 12.0), sample_rate_hz=RATE_HZ, settings=DEFAULT)
    cut = waveform[2 * RATE_HZ : 10 * RATE_HZ]
    part = audio_context(cut, times_s=times_s - 2, sounding_s=(-2.0, 10.0), sample_rate_hz=RATE_HZ, settings=DEFAULT)
    np.testing.assert_allclose(part, whole, atol=1e-4)


def test_silence_beyond_the_ends_of_the_sound_does_not_count() -> None:
    waveform, silence = sound(3.0), np.zeros(2 * RATE_HZ, np.float32)
    times_s = np.array([0.0, 0.4, 2.9])
    alone = audio_context(waveform, times_s=times_s, sounding_s=(0.0, 3.0), sample_rate_hz=RATE_HZ, settings=DEFAULT)
    padded = np.concatenate([silence, waveform, silence])
    among = audio_context(padded, times_s=times_s + 2, sounding_s=(2.0, 5.0), sample_rate_hz=RATE_HZ, settings=DEFAULT)
    np.testing.assert_allclose(among, alone, atol=1e-4)
    far = audio_context(
        padded, times_s=np.array([0.2]), sounding_s=(2.0, 5.0), sample_rate_hz=RATE_HZ, settings=DEFAULT
    )
    assert not far.any()
    nothing = audio_context(silence, times_s=times_s, sounding_s=(9.0, 9.0), sample_rate_hz=RATE_HZ, settings=DEFAULT)
    assert not nothing.any() and nothing.shape == (3, 80)


def test_one_even_tone_does_not_vary() -> None:
    tone = np.tile((0.3 * np.sin(2 * np.pi * np.arange(40) / 40)).astype(np.float32), 4 * RATE_HZ // 40)
    found = audio_context(
        tone, times_s=np.array([2.0]), sounding_s=(0.0, 4.0), sample_rate_hz=RATE_HZ, settings=DEFAULT
    )[0]
    means, deviations = np.split(found, 2)
    np.testing.assert_allclose(deviations, 0, atol=1e-3)
    np.testing.assert_allclose(means[20:], 0, atol=1e-3)
    assert np.abs(means[:20]).max() > 50


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ParameterError, match="mono"):
        log_mel_track(np.zeros((2, 10), np.float32), sample_rate_hz=RATE_HZ, settings=DEFAULT)
    with pytest.raises(ParameterError, match="frames_hz"):
        log_mel_track(np.zeros(10, np.float32), sample_rate_hz=RATE_HZ, settings=TrackSettings(frames_hz=3000))
