"""Sounds as they are handed out: their loudness by the standard, their fades, their length, films of them."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import write_flash_and_click
from scipy import signal

from avlib.config import load_settings
from avlib.retrieval.films import film
from avlib.retrieval.sounds import PEAK_DBTP, Sound, at_loudness, cut, faded, loudness
from avlib.sources import Sources

SUGGEST = load_settings().suggest


def tone(length_s: float, *, level_db: float, rate_hz: int = 48_000, channels: int = 1) -> np.ndarray:
    time_s = np.arange(round(length_s * rate_hz)) / rate_hz
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * 997 * time_s)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


# EBU Tech 3341, cases 1 and 2: a stereo tone of -23 (-33) dBFS has -23 (-33) LUFS; BS.1770: mono 3 dB less.
@pytest.mark.parametrize(("level_db", "channels", "lufs"), [(-23, 2, -23), (-33, 2, -33), (-20, 1, -23.01)])
@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_loudness_of_the_standards_tones(level_db: float, channels: int, lufs: float, rate_hz: int) -> None:
    measured, peak = loudness(tone(3.03, level_db=level_db, channels=channels, rate_hz=rate_hz), sample_rate_hz=rate_hz)
    assert measured == pytest.approx(lufs, abs=0.1)
    assert 20 * np.log10(peak) == pytest.approx(level_db, abs=0.2)


def test_quiet_stretches_do_not_count() -> None:
    """Tech 3341, case 3: -36, -23, -36 dBFS for 10, 60, 10 s."""
    parts = [tone(s, level_db=db, channels=2) for s, db in ((10, -36), (60, -23), (10, -36))]
    assert loudness(np.concatenate(parts), sample_rate_hz=48_000)[0] == pytest.approx(-23, abs=0.1)


def test_the_ffmpeg_program_agrees(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    waveform = (0.1 * random.normal(size=(100_000, 2))).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", waveform, 44_100, subtype="FLOAT")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(tmp_path / "a.wav")]
    said = subprocess.run(
        [*command, "-filter:a", "ebur128", "-f", "null", "-"], capture_output=True, text=True, check=True
    ).stderr
    summary = said.rpartition("Integrated loudness:")[2]
    expected = float(summary.split("I:")[1].split("LUFS")[0])
    assert loudness(waveform, sample_rate_hz=44_100)[0] == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("length_s", [0.02, 0.1, 0.39, 0.4, 1.0, 2.55])
@pytest.mark.parametrize("level_db", [-50, -6])
def test_whatever_the_length_it_comes_out_as_loud_as_asked(length_s: float, level_db: float) -> None:
    levelled = at_loudness(tone(length_s, level_db=level_db), sample_rate_hz=48_000, loudness_lufs=-23.0)
    assert loudness(levelled, sample_rate_hz=48_000)[0] == pytest.approx(-23.0, abs=0.3)


def test_a_click_is_not_made_louder_than_its_peak_allows() -> None:
    click = np.zeros((48_000, 1), np.float32)
    click[24_000:24_003] = 0.2
    levelled = at_loudness(click, sample_rate_hz=48_000, loudness_lufs=-14.0)
    peak = loudness(levelled, sample_rate_hz=48_000)[1]
    assert 20 * np.log10(peak) == pytest.approx(PEAK_DBTP, abs=0.1)
    silence = np.zeros((4800, 2), np.float32)
    np.testing.assert_array_equal(at_loudness(silence, sample_rate_hz=48_000, loudness_lufs=-23.0), silence)


def test_peaks_between_the_samples_count() -> None:
    """A quarter of the rate, sampled 3 dB below its peaks."""
    at = np.arange(48_000)
    between = (0.5 * np.sin(np.pi * (at / 2 + 0.25))).astype(np.float32)[:, None]
    assert loudness(between, sample_rate_hz=48_000)[1] == pytest.approx(0.5, rel=0.1)
    levelled = at_loudness(between, sample_rate_hz=48_000, loudness_lufs=10.0)
    oversampled = signal.resample_poly(levelled[:, 0].astype(np.float64), 8, 1)[4000:-4000]
    assert 20 * np.log10(np.abs(oversampled).max()) == pytest.approx(PEAK_DBTP, abs=0.7)
    assert np.abs(levelled).max() < 0.7  # the samples alone would have been let go to 0.89


@given(st.integers(1, 300), st.integers(0, 200), st.integers(1, 2))
@settings(max_examples=50)
def test_fades_touch_the_ends_only(length: int, samples: int, channels: int) -> None:
    waveform = np.ones((length, channels), np.float32)
    shaped = faded(waveform, samples)
    reach = min(samples, length // 2)
    assert shaped.shape == waveform.shape
    np.testing.assert_array_equal(shaped[reach : length - reach], 1)
    np.testing.assert_allclose(shaped, shaped[::-1], atol=1e-6)
    assert np.all(np.diff(shaped[:reach, 0]) > 0)
    assert np.all(waveform == 1)  # the given one is untouched


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cut") / "v.mp4"
    write_flash_and_click(path, video_codec="mpeg4", audio_codec="aac", times_s=[3.0], duration_s=6.0)
    return path


def test_a_cut_has_the_length_asked_for_and_quiet_ends(video: Path, sources: Sources) -> None:
    for time_s, asked_s in ((3.0, 2.0), (0.1, 2.0), (5.9, 1.0), (3.0, 50.0)):
        with sources.open(str(video)) as opened:
            sound = cut(opened, time_s, duration_s=asked_s, settings=SUGGEST, start_s=None)
        assert sound.duration_s == pytest.approx(min(asked_s, 6.0), abs=0.05)
        assert np.abs(sound.waveform[[0, -1]]).max() < 1e-3
    waveform, rate_hz = soundfile.read(io.BytesIO(sound.wav()), always_2d=True)
    assert (len(waveform) / rate_hz, waveform.shape[1]) == (sound.duration_s, 2)
    outline = sound.outline(60)
    assert len(outline) == 60 and int(np.argmax(outline)) == pytest.approx(30, abs=1)


@pytest.mark.parametrize(("time_s", "duration_s"), [(0.1, 2.0), (5.9, 2.0), (5.5, 4.0), (3.0, 50.0)])
def test_a_sound_says_where_it_begins(time_s: float, duration_s: float, video: Path, sources: Sources) -> None:
    with sources.open(str(video)) as opened:
        end_s = opened.probe().duration_s
        sound = cut(opened, time_s, duration_s=duration_s, settings=SUGGEST, start_s=None)
    assert 0 <= sound.start_s <= max(time_s - duration_s / 2, 0)
    assert sound.start_s + sound.duration_s <= end_s + 0.05
    if sound.start_s < 3.02 < sound.start_s + sound.duration_s:  # the click is where it says
        loudest = np.abs(sound.waveform).max(axis=1).argmax()
        assert sound.start_s + loudest / sound.sample_rate_hz == pytest.approx(3.02, abs=0.01)


def test_auto_cuts_the_click_alone(video: Path, sources: Sources) -> None:
    with sources.open(str(video)) as opened:
        sound = cut(opened, 3.02, duration_s=None, settings=SUGGEST, start_s=None)
    assert sound.duration_s == pytest.approx(SUGGEST.shortest_s, abs=0.02)  # 4 ms of click, made as long as allowed
    assert sound.start_s < 3.02 < sound.start_s + sound.duration_s


@pytest.mark.parametrize(
    ("shape", "size"), [((301, 401, 3), (400, 300)), ((2000, 3000, 3), (1280, 854)), ((1, 1, 3), (16, 16))]
)
def test_a_film_shows_the_picture_for_as_long_as_the_sound(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    picture = np.full(shape, (200, 40, 40), np.uint8)
    sound = Sound(tone(1.7, level_db=-20, rate_hz=22_050), 22_050, 0.0)
    with av.open(io.BytesIO(film(picture, sound))) as container:
        shown, heard = container.streams.video[0], container.streams.audio[0]
        assert (shown.codec_context.name, heard.codec_context.name) == ("h264", "aac")
        assert (shown.width, shown.height) == pytest.approx(size, abs=2)
        assert container.duration / 1e6 == pytest.approx(1.7, abs=0.1)
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    np.testing.assert_allclose(frame.mean(axis=(0, 1)), (200, 40, 40), atol=8)
