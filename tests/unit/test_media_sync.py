"""A flash and a click made at the same time come out at the same time, in every container."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media_files import edit_track, write_flash_and_click
from media_sound import read_sound
from media_times import click_s, seen_and_heard_s

from avlib.errors import MediaError, ParameterError
from avlib.media import PictureReader, cut_sound, probe

TIMES_S = (1.0, 4.2, 7.48, 11.0)
HALF_FRAME_S = 0.02
LOUDEST = 0.8
CASES = [
    ("mp4", "libx264", "aac", 48000, "stereo"),
    ("mp4", "libx264", "libmp3lame", 44100, "mono"),
    ("mov", "mpeg4", "pcm_s16le", 44100, "stereo"),
    ("mov", "mpeg4", "pcm_s16le", 44100, "5 channels"),  # which is where, nobody says
    ("mkv", "libx264", "ac3", 48000, "5.1"),
    ("mkv", "libx264", "flac", 32000, "mono"),
    ("mkv", "libx264", "flac", 48000, "quad"),
    ("mkv", "mpeg4", "pcm_s16le", 48000, "quad"),  # Matroska does not say which channel is where
    ("mkv", "mpeg4", "libopus", 48000, "ambisonic 1"),
    ("webm", "libvpx", "libopus", 48000, "stereo"),
    ("avi", "mpeg4", "pcm_u8", 8000, "mono"),
    ("avi", "libx264", "pcm_s16le", 44100, "stereo"),  # pictures reordered, in a container without presentation times
    ("mpg", "mpeg2video", "mp2", 44100, "stereo"),
    ("ts", "libx264", "aac", 48000, "stereo"),
    ("flv", "libx264", "aac", 44100, "stereo"),
]
WHOLE = ((0.0, 0.0), (0.0, 0.0))
EDITED = [  # what is trimmed and what waited, of pictures and of sound; 2 s is a keyframe, the others are not
    (("mp4", "libx264", "aac", 48000, "stereo"), ((2.0, 0.0), (2.0, 0.0))),
    (("mp4", "libx264", "aac", 44100, "stereo"), ((2.36, 0.0), (2.36, 0.0))),
    (("mov", "mpeg4", "pcm_s16le", 44100, "stereo"), ((2.36, 0.0), (2.36, 0.0))),
    (("mp4", "libx264", "aac", 48000, "stereo"), ((2.36, 0.8), (1.56, 0.0))),
    (("mov", "libx264", "pcm_s16le", 48000, "stereo"), ((1.56, 0.0), (2.36, 0.8))),
]


def name_of(made: tuple[tuple[object, ...], object]) -> str:
    case, edits = made
    return "-".join(map(str, case)) + (f"-trimmed {edits}" if edits != WHOLE else "")


@pytest.fixture(scope="module", params=[*((case, WHOLE) for case in CASES), *EDITED], ids=name_of)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    (extension, video_codec, audio_codec, rate_hz, layout), edits = request.param
    trimmed_s = edits[0][0] - edits[0][1]
    path = tmp_path_factory.mktemp("sync") / f"flash.{extension}"
    write_flash_and_click(
        path,
        video_codec=video_codec,
        audio_codec=audio_codec,
        times_s=[t + trimmed_s for t in TIMES_S] + [1.0] * (edits != WHOLE),  # one that is trimmed away
        duration_s=12.0 + trimmed_s,
        keyframe_every=None if edits == WHOLE else 25,
        rate_hz=rate_hz,
        layout=layout,
    )
    for kind, (trim_s, delay_s) in zip(("vide", "soun"), edits, strict=True):
        if edits != WHOLE:
            edit_track(path, kind, trim_s=trim_s, delay_s=delay_s)
    return path


def test_flash_and_click_coincide(video: Path) -> None:
    seen_s, heard_s = seen_and_heard_s(video)
    assert seen_s == pytest.approx([t + HALF_FRAME_S for t in TIMES_S], abs=0.025)
    assert heard_s == pytest.approx(seen_s, abs=0.005)


def test_a_cut_is_the_same_stretch_as_in_the_whole(video: Path) -> None:
    info = probe(video)
    whole = read_sound(video, info, sample_rate_hz=info.audio_rate_hz).waveform
    for start_s in (0.9, 3.77, 7.3, 10.4):
        waveform, rate_hz, from_s = cut_sound(video, info, start_s=start_s, duration_s=0.7)
        assert from_s == pytest.approx(start_s, abs=1 / rate_hz)
        assert waveform.shape == (round(0.7 * rate_hz), min(info.channels, 2))
        assert np.abs(waveform).max(axis=0) == pytest.approx(LOUDEST, abs=0.05)
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
