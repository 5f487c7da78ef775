"""A flash and a click made at the same time come out at the same time, in every container."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media_files import write_flash_and_click
from media_sound import read_sound

from avlib.errors import MediaError, ParameterError
from avlib.media import PictureReader, cut_sound, probe

TIMES_S = (1.0, 4.2, 7.48, 11.0)
HALF_FRAME_S = 0.02
CASES = [
    ("mp4", "libx264", "aac", 48000, 2),
    ("mp4", "libx264", "libmp3lame", 44100, 1),
    ("mov", "mpeg4", "pcm_s16le", 44100, 2),
    ("mkv", "libx264", "ac3", 48000, 6),
    ("mkv", "libx264", "flac", 32000, 1),
    ("webm", "libvpx", "libopus", 48000, 2),
    ("avi", "mpeg4", "pcm_u8", 8000, 1),
    (
        "avi",
        "libx264",
        "pcm_s16le",
        44100,
        2,
    ),  # pictures reordered, in a container without presentation times
    ("mpg", "mpeg2video", "mp2", 44100, 2),
    ("ts", "libx264", "aac", 48000, 2),
    ("flv", "libx264", "aac", 44100, 2),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    extension, video_codec, audio_codec, rate_hz, channels = request.param
    path = tmp_path_factory.mktemp("sync") / f"flash.{extension}"
    write_flash_and_click(
        path,
        video_codec=video_codec,
        audio_codec=audio_codec,
        times_s=TIMES_S,
        rate_hz=rate_hz,
        channels=channels,
    )
    return path


def click_s(waveform: np.ndarray, rate_hz: int) -> float:
    """Centre of energy of the loudest click."""
    energy = waveform.astype(np.float64) ** 2
    energy[energy < 0.1 * energy.max()] = 0
    return float(energy @ np.arange(energy.size) / energy.sum() / rate_hz)


def flashes_s(reader: PictureReader, times_s: np.ndarray) -> list[float]:
    """The middle of each stretch of white pictures."""
    white = np.zeros(times_s.size, bool)
    for indexes, pictures in reader:
        white[indexes] = pictures.mean(axis=(1, 2, 3)) > 128
    edges = np.flatnonzero(np.diff(np.concatenate([[False], white, [False]]).astype(int)))
    return [float(times_s[a] + times_s[b - 1]) / 2 for a, b in edges.reshape(-1, 2)]


def test_flash_and_click_coincide(video: Path) -> None:
    info = probe(video)
    grid_s = np.arange(0, 12, 0.002)
    reader = PictureReader(video, info, times_s=grid_s, size_px=16)
    seen_s = flashes_s(reader, grid_s)
    sound = read_sound(video, info, sample_rate_hz=16000)
    assert reader.damage is None and sound.damage is None
    assert np.allclose(seen_s, np.array(TIMES_S) + HALF_FRAME_S, atol=0.025)
    for flash in seen_s:
        begin = round((flash - 0.3) * 16000)
        heard = click_s(sound.waveform[begin : begin + 9600], 16000) + begin / 16000
        assert heard == pytest.approx(flash, abs=0.005)


def test_a_cut_is_the_same_stretch_as_in_the_whole(video: Path) -> None:
    info = probe(video)
    whole = read_sound(video, info, sample_rate_hz=info.audio_rate_hz).waveform
    for start_s in (0.9, 3.77, 7.3, 10.4):
        waveform, rate_hz, from_s = cut_sound(video, info, start_s=start_s, duration_s=0.7)
        assert from_s == pytest.approx(start_s, abs=1 / rate_hz)
        assert waveform.shape == (round(0.7 * rate_hz), min(info.channels, 2))
        begin = round(start_s * rate_hz)
        expected = click_s(whole[begin : begin + len(waveform)], rate_hz)
        assert click_s(waveform.mean(axis=1), rate_hz) == pytest.approx(expected, abs=3 / rate_hz)


def test_pictures_of_a_slice_are_those_of_the_whole(video: Path) -> None:
    info = probe(video)
    times_s = np.arange(0, 11.9, 0.04) + 0.021
    whole = dict(_each(PictureReader(video, info, times_s=times_s, size_px=24)))
    first = 190  # 7.6 s: sought, not read from the beginning
    part = dict(_each(PictureReader(video, info, times_s=times_s[first:], size_px=24, batch=7)))
    assert sorted(part) == [index - first for index in sorted(whole) if index >= first]
    assert all(np.array_equal(part[index], whole[index + first]) for index in part)


def _each(reader: PictureReader) -> list[tuple[int, np.ndarray]]:
    return [pair for indexes, pictures in reader for pair in zip(indexes.tolist(), pictures, strict=True)]


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("late") / "late.mp4"
    write_flash_and_click(
        path, video_codec="libx264", audio_codec="aac", times_s=TIMES_S, rate_hz=44100, sound_from_s=3.0
    )
    return path


def test_late_sound_is_late(late: Path) -> None:
    sound = read_sound(late, probe(late), sample_rate_hz=16000)
    assert sound.spans_s[0, 0] == pytest.approx(3.0, abs=0.03)
    assert not sound.waveform[: round(2.97 * 16000)].any()
    assert click_s(sound.waveform[4 * 16000 : 5 * 16000], 16000) == pytest.approx(0.22, abs=0.002)


def test_a_cut_before_the_first_and_after_the_last_sound_is_shifted(late: Path) -> None:
    info = probe(late)
    first, rate_hz, _ = cut_sound(late, info, start_s=0.0, duration_s=2.0)
    assert len(first) == 2 * rate_hz
    assert click_s(first.mean(axis=1), rate_hz) == pytest.approx(4.22 - info.sound_start_s, abs=0.002)
    last, _, _ = cut_sound(late, info, start_s=50.0, duration_s=2.0)
    assert len(last) == 2 * rate_hz
    assert click_s(last.mean(axis=1), rate_hz) == pytest.approx(1.02, abs=0.03)
    everything, _, _ = cut_sound(late, info, start_s=5.0, duration_s=60.0)
    assert len(everything) / rate_hz == pytest.approx(9.0, abs=0.06)


@pytest.mark.parametrize("start_s", [0.0, 2.9, 10.4, 11.7, 50.0])
def test_a_cut_says_where_it_begins(start_s: float, late: Path) -> None:
    info = probe(late)
    rate_hz = info.audio_rate_hz
    whole = read_sound(late, info, sample_rate_hz=rate_hz)
    waveform, _, from_s = cut_sound(late, info, start_s=start_s, duration_s=2.0)
    begin = round(from_s * rate_hz)
    assert info.sound_start_s - 1 / rate_hz <= from_s
    assert from_s + len(waveform) / rate_hz <= whole.spans_s[-1, 1] + 2 / rate_hz
    expected = whole.waveform[begin : begin + len(waveform)]
    np.testing.assert_allclose(waveform.mean(axis=1)[: len(expected)], expected, atol=1e-3)
    assert np.abs(expected).max() > 0.1


def test_parameters_are_checked(late: Path) -> None:
    info = probe(late)
    with pytest.raises(ParameterError, match="start_s"):
        cut_sound(late, info, start_s=-1.0, duration_s=1.0)
    with pytest.raises(ParameterError, match="duration_s"):
        cut_sound(late, info, start_s=0.0, duration_s=0.0)
    with pytest.raises(ParameterError, match="sample_rate_hz"):
        read_sound(late, info, sample_rate_hz=0)
    with pytest.raises(ParameterError, match="times_s"):
        PictureReader(late, info, times_s=np.array([1.0, 0.5]), size_px=16)


def test_a_video_without_duration_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "live.webm"
    write_flash_and_click(path, video_codec="libvpx", audio_codec="libopus", times_s=(1.0,), duration_s=3.0, live=True)
    info = probe(path)
    assert info.duration_s == pytest.approx(3.0, abs=0.1)
    assert read_sound(path, info, sample_rate_hz=16000).damage is None


def test_no_sound_no_cut(tmp_path: Path) -> None:
    path = tmp_path / "mute.mkv"
    write_flash_and_click(path, video_codec="mpeg4", audio_codec=None, times_s=(1.0,), duration_s=2.0)
    info = probe(path)
    assert info.audio_stream is None and info.channels is None
    with pytest.raises(MediaError, match="no sound") as caught:
        cut_sound(path, info, start_s=0.0, duration_s=1.0)
    assert caught.value.error_class == "no_streams"
