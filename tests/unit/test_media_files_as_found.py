"""Broken, odd and ordinary files: what each is said to be, and what comes out of it."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_sound import read_sound

from avlib.errors import MediaError
from avlib.media import ERROR_CLASSES, PictureReader, cut_sound, probe


@pytest.fixture
def bad(shared_data: Path) -> Path:
    return shared_data / "bad"


def outcome(path: Path) -> str:
    """The word of `expected.csv` that fits what this package makes of a file."""
    try:
        info = probe(path)
    except MediaError as error:
        assert error.error_class in ERROR_CLASSES and str(path) in str(error)
        return "skip" if error.error_class == "is_directory" else "fail"
    if info.video_stream is None:
        return "no-video"
    if info.audio_stream is None:
        return "no-audio"
    sound = read_sound(path, info, sample_rate_hz=16000)
    reader = PictureReader(path, info, times_s=np.arange(0, info.duration_s, 0.2), size_px=32)
    pictures = sum(len(indexes) for indexes, _ in reader)
    assert pictures and np.abs(sound.waveform).max() <= 1
    return "partial" if sound.damage or reader.damage else "ok"


def test_every_bad_file_gets_what_it_should(bad: Path) -> None:
    with (bad / "expected.csv").open(newline="") as file:
        expected = {row["file"]: row["expect"] for row in csv.DictReader(file)}
    assert len(expected) == 21
    assert {name: outcome(bad / name) for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "error_class", "words"),
    [
        ("zero_bytes.mp4", "empty_file", "0 bytes"),
        ("html_error_page.mp4", "not_media", "web page"),
        ("moov_missing.mp4", "incomplete", "moov"),
        ("zero_duration.mp4", "no_streams", "neither pictures nor sound"),
        ("a_directory.mp4", "is_directory", "folder"),
        ("not_there.mp4", "not_found", "no such file"),
    ],
)
def test_reasons_are_readable(bad: Path, name: str, error_class: str, words: str) -> None:
    with pytest.raises(MediaError, match=words) as caught:
        probe(bad / name)
    assert caught.value.error_class == error_class and not caught.value.transient


def test_damage_says_where(bad: Path) -> None:
    path = bad / "truncated_faststart.mp4"
    info = probe(path)
    sound = read_sound(path, info, sample_rate_hz=16000)
    assert sound.damage == "cut off at 12.4 s of 23.1 s"
    reader = PictureReader(path, info, times_s=np.arange(0, 23, 0.2), size_px=16)
    assert [int(indexes[-1]) for indexes, _ in reader][-1] == 62
    assert reader.damage is not None and "12.5 s of 23.1 s" in reader.damage
    assert reader.covered_s == pytest.approx(12.5, abs=0.1)


def test_both_sides_of_damage_are_kept(bad: Path, shared_data: Path) -> None:
    path = bad / "corrupt_middle.mkv"  # v018.mkv with random bytes written over its middle
    whole = shared_data / "collection" / "videos" / "v018.mkv"
    sound = read_sound(path, probe(path), sample_rate_hz=16000)
    intact = read_sound(whole, probe(whole), sample_rate_hz=16000)
    assert sound.damage is not None and "no sound at 4.88-5.9" in sound.damage
    assert len(sound.waveform) == pytest.approx(len(intact.waveform), abs=32)
    for start, end in ((1, 4), (16, 19)):
        stretch = slice(start * 16000, end * 16000)
        assert np.corrcoef(sound.waveform[stretch], intact.waveform[stretch])[0, 1] > 0.98
    in_gap = (np.array([5.0, 5.9]) * 16000).astype(int)
    assert not sound.waveform[slice(*in_gap)].any()
    times_s = np.arange(0, 20, 0.2)
    shown = np.concatenate([i for i, _ in PictureReader(path, probe(path), times_s=times_s, size_px=16)])
    assert set(range(20)) <= set(shown.tolist()) and set(range(80, 99)) <= set(shown.tolist())


def test_what_probe_says(bad: Path, shared_data: Path) -> None:
    turned = probe(bad / "rotated_90.mp4")
    assert (turned.width, turned.height, turned.rotation_deg) == (240, 426, 90)
    surround = probe(bad / "eight_channels.mp4")
    assert (surround.channels, surround.audio_rate_hz, surround.audio_codec) == (8, 44100, "aac")
    pcm = probe(bad / "audio_8khz_u8.avi")
    assert (pcm.channels, pcm.audio_rate_hz, pcm.audio_codec) == (1, 8000, "pcm_u8")
    late = probe(bad / "audio_starts_3s_late.mp4")
    assert late.sound_start_s == pytest.approx(3 - 1024 / 44100, abs=0.001)
    shifted = probe(shared_data / "collection" / "videos" / "v011.mpg")
    assert shifted.start_s == pytest.approx(0.522456) and shifted.frame_rate_hz == pytest.approx(30 / 1.001)


def test_surround_sound_is_mixed_within_bounds(bad: Path) -> None:
    path = bad / "eight_channels.mp4"
    info = probe(path)
    waveform, rate_hz, _ = cut_sound(path, info, start_s=1.0, duration_s=2.0)
    assert waveform.shape == (2 * rate_hz, 2) and 0.01 < np.abs(waveform).max() <= 1
    assert read_sound(path, info, sample_rate_hz=16000).waveform.std() > 0.001


def test_sound_agrees_with_another_decoder(bad: Path) -> None:
    path = bad / "audio_only.mp3"
    info = probe(path)
    reference, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    waveform, cut_rate_hz, _ = cut_sound(path, info, start_s=4.0, duration_s=1.5)
    assert cut_rate_hz == rate_hz
    begin = 4 * rate_hz + np.arange(-60, 61)  # libsndfile and FFmpeg may differ in what of the priming they drop
    errors = [np.abs(reference[b : b + len(waveform)] - waveform).mean() for b in begin]
    assert min(errors) < 1e-3
    assert abs(int(np.argmin(errors)) - 60) / rate_hz < 0.002


def test_web_clips_and_collection_are_whole(shared_data: Path) -> None:
    names = sorted((shared_data / "web_clips").glob("*.m*"))
    names += sorted((shared_data / "collection" / "videos").iterdir())[::8]
    assert len(names) == 30
    for path in names:
        assert outcome(path) in ("ok", "no-audio"), path


def test_default_sound_and_first_pictures_are_chosen(shared_data: Path) -> None:
    info = probe(shared_data / "web_clips" / "nasa_13013.mp4")  # two of each
    assert (info.video_stream, info.audio_stream, info.audio_rate_hz) == (0, 1, 8000)


def test_only_allowed_local_formats_open(tmp_path: Path) -> None:
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://localhost/x.ts\n")
    concat = tmp_path / "concat.mp4"
    concat.write_text("ffconcat version 1.0\nfile /etc/hosts\n")
    for path in (playlist, concat):
        with pytest.raises(MediaError) as caught:
            probe(path)
        assert caught.value.error_class == "not_media"


def test_a_pipe_and_a_name_that_is_not_utf8_do_not_hang_or_crash(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    with pytest.raises(MediaError, match="pipe"):
        probe(pipe)
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    odd.write_bytes(b"x" * 100)
    with pytest.raises(MediaError, match="UTF-8"):
        probe(odd)


def test_names_that_look_like_addresses(tmp_path: Path, shared_data: Path) -> None:
    source = (shared_data / "bad" / "single_frame.mp4").read_bytes()
    path = tmp_path / "http:%03d.mp4"
    path.write_bytes(source)
    assert probe(path).width == 480
