"""Frames at uneven times, tracks cut by their edit list, channels that nobody names: flash and click still coincide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from media_files import clicks, edit_track, shorten_index, write_flash_and_click
from media_sound import read_sound
from media_times import RATE_HZ, click_s, clicks_s, seen_and_heard_s

from avlib.media import PictureReader, cut_sound, probe

TIMES_S = (1.0, 4.2, 7.48)


def uneven_starts_s() -> list[float]:
    """Frames of 1/60 to 1/8 s until 12 s, in whole milliseconds, without any between 5 s and 6 s."""
    lengths_ms = np.random.default_rng(1).integers(17, 126, 700)
    starts_ms = np.concatenate([[0], np.cumsum(lengths_ms)])
    starts_ms[starts_ms >= 5000] += 1000
    return (starts_ms[starts_ms < 11_950] / 1000).tolist()


@pytest.mark.parametrize(
    ("extension", "video_codec", "audio_codec"),
    [("mp4", "libx264", "aac"), ("mp4", "mpeg4", "aac"), ("mkv", "libx264", "flac")],
)
def test_frames_at_uneven_times_keep_to_their_clicks(
    extension: str, video_codec: str, audio_codec: str, tmp_path: Path
) -> None:
    path = tmp_path / f"uneven.{extension}"
    starts_s = uneven_starts_s()
    before_hole = int(np.argmax(np.diff(starts_s)))
    flashes = [9, before_hole, before_hole + 5, len(starts_s) - 4]
    write_flash_and_click(
        path,
        video_codec=video_codec,
        audio_codec=audio_codec,
        times_s=[starts_s[index] for index in flashes],
        starts_s=starts_s,
    )
    seen_s, heard_s = seen_and_heard_s(path)
    assert seen_s == pytest.approx([(starts_s[index] + starts_s[index + 1]) / 2 for index in flashes], abs=0.003)
    assert heard_s == pytest.approx(seen_s, abs=0.005)


@pytest.mark.parametrize(("kind", "later_s"), [("vide", 1.0), ("soun", -1.0)])
def test_a_track_both_trimmed_and_late_lacks_nothing(kind: str, later_s: float, tmp_path: Path) -> None:
    path = tmp_path / "edited.mp4"
    write_flash_and_click(path, video_codec="libx264", audio_codec="aac", times_s=(4.2, 7.48))
    edit_track(path, kind, trim_s=3.0, delay_s=2.0)
    seen_s, heard_s = seen_and_heard_s(path)  # which asserts that nothing is said to be missing
    assert heard_s == pytest.approx([t + later_s for t in seen_s], abs=0.005)


@pytest.mark.parametrize(("kind", "box"), [("vide", b"stsz"), ("vide", b"stco"), ("soun", b"stsz")])
def test_an_index_that_lacks_half_of_a_track_is_damage(kind: str, box: bytes, tmp_path: Path) -> None:
    path = tmp_path / "half.mp4"
    write_flash_and_click(path, video_codec="mpeg4", audio_codec="aac", times_s=(4.2, 7.48))
    shorten_index(path, kind, box)
    info = probe(path)
    reader = PictureReader(path, info, times_s=np.arange(0, 12, 0.04), size_px=16)
    shown = sum(len(indexes) for indexes, _ in reader)
    damage = {"vide": reader.damage, "soun": read_sound(path, info, sample_rate_hz=RATE_HZ).damage}
    said = damage.pop(kind)
    assert said is not None and "cut off at 6." in said and "of 12." in said
    assert list(damage.values()) == [None] and (shown < 200) == (kind == "vide")


@pytest.mark.parametrize(
    ("kind", "channels", "mask"),
    [
        *(("WAV", channels, None) for channels in (3, 5, 9)),
        ("WAVEX", 4, None),
        ("WAVEX", 7, 0),  # which is where, nobody says
        ("WAVEX", 2, 0x5),  # the left one and the middle one
    ],
)
def test_odd_channels_are_mixed_in_their_place(kind: str, channels: int, mask: int | None, tmp_path: Path) -> None:
    path = tmp_path / "odd.wav"
    waveform = clicks(TIMES_S, duration_s=9.0, rate_hz=44100, channels=channels).T
    soundfile.write(path, waveform, 44100, format=kind, subtype="PCM_16")
    if mask is not None:
        content = path.read_bytes()
        place = content.index(b"fmt ") + 28  # of the channel mask
        path.write_bytes(content[:place] + mask.to_bytes(4, "little") + content[place + 4 :])
    info = probe(path)
    assert info.channels == channels
    mono = read_sound(path, info, sample_rate_hz=RATE_HZ).waveform
    assert clicks_s(mono, RATE_HZ) == pytest.approx(TIMES_S, abs=0.001)
    stereo, rate_hz, from_s = cut_sound(path, info, start_s=4.0, duration_s=1.0)
    assert stereo.shape == (rate_hz, 2)
    assert click_s(stereo.mean(axis=1), rate_hz) + from_s == pytest.approx(4.2, abs=0.001)
    assert [np.abs(mono).max(), *np.abs(stereo).max(axis=0)] == pytest.approx(3 * [waveform.max()], abs=0.01)


@pytest.mark.parametrize(("video_codec", "audio_codec"), [("libx264", "aac"), ("mpeg2video", "mp2")])
def test_sound_that_begins_behind_what_ffmpeg_looks_at_is_cut(
    tmp_path: Path, video_codec: str, audio_codec: str
) -> None:
    path = tmp_path / "late.ts"
    write_flash_and_click(
        path, video_codec=video_codec, audio_codec=audio_codec, times_s=TIMES_S, sound_from_s=3.0, rate_hz=44_100
    )
    packets = [path.read_bytes()[at : at + 188] for at in range(0, path.stat().st_size, 188)]
    first = next(number for number, packet in enumerate(packets) if packet[1:3] == b"\x41\x01")  # begins on PID 0x101
    stuffing = b"\x47\x1f\xff\x10" + bytes(184)
    path.write_bytes(b"".join([*packets[:first], *[stuffing] * 40_000, *packets[first:]]))
    info = probe(path)
    assert (info.audio_rate_hz, info.channels) == (44_100, 2)
    assert info.sound_start_s == pytest.approx(3.0, abs=0.1)
    waveform, rate_hz, start_s = cut_sound(path, info, start_s=4.0, duration_s=0.5)
    assert (rate_hz, start_s) == (44_100, 4.0)
    assert click_s(waveform[:, 0], rate_hz) + start_s == pytest.approx(4.22, abs=0.02)
