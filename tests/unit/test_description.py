"""Which frames of a video are kept, before any picture is decoded."""

from __future__ import annotations

import hashlib
import os
import re
import struct
import weakref
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import write_flash_and_click

from avlib.arrays import UInt8Array
from avlib.config import load_settings
from avlib.description import (
    Description,
    LongVideo,
    Slice,
    SliceOutcome,
    describe_slice,
    describe_video,
    loud,
)
from avlib.description import video as video_description
from avlib.description.outcome import Problem
from avlib.media import Decoder, PictureReader, probe


def test_the_median_is_over_all_frames_before_the_stride() -> None:
    random = np.random.default_rng(0)
    # Every fifth frame is loud: a median over the stride's frames alone would drop half of them.
    rms = np.where(np.arange(200) % 5 == 0, 0.5, random.uniform(0.01, 0.1, 200)).astype(np.float32)
    kept = loud(rms, settings=load_settings(assignments=["describe.frame_stride=5"]).describe)
    np.testing.assert_array_equal(kept.indexes, np.arange(0, 200, 5))
    np.testing.assert_allclose(kept.times_s, kept.indexes / 25)
    every = loud(rms, settings=load_settings().describe)
    assert len(every.indexes) == 100
    assert set(kept.indexes) <= set(every.indexes)


def test_frames_without_sound_are_not_in_the_median() -> None:
    rms = np.concatenate([np.full(100, np.nan), np.linspace(0.1, 0.9, 50)]).astype(np.float32)
    kept = loud(rms, settings=load_settings().describe)
    assert kept.indexes.tolist() == list(range(125, 150))


@pytest.mark.parametrize("kind", ["pipe", "folder", "nothing", "empty"])
def test_what_is_no_file_is_named_and_never_opened(tmp_path: Path, decoder: Decoder, kind: str) -> None:
    path = tmp_path / "video.mp4"
    match kind:
        case "pipe":
            os.mkfifo(path)  # opening it would wait for ever
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
    batches = describe_video(decoder.open(path), load_settings().describe)
    with pytest.raises(StopIteration) as end:
        next(batches)
    description = end.value.value
    expected = {"pipe": "not_media", "folder": "is_directory", "nothing": "not_found", "empty": "empty_file"}
    assert description.error_class == expected[kind]
    assert description.status == ("skipped" if kind == "folder" else "failed")
    assert description.samples == 0 and description.error


def run(steps):
    """All batches, and what came of it."""
    batches = []
    while True:
        try:
            batches.append(next(steps))
        except StopIteration as end:
            return batches, end.value


def joined(batches, name: str) -> np.ndarray:
    return np.concatenate([getattr(batch, name) for batch in batches])


@pytest.mark.parametrize("name", ["v001", "v018", "v030"])
def test_slices_give_the_samples_of_the_whole(shared_data: Path, decoder: Decoder, name: str) -> None:
    path = next((shared_data / "collection" / "videos").glob(f"{name}.*"))
    whole = load_settings(assignments=["describe.frame_stride=5"]).describe
    cut = load_settings(assignments=["describe.frame_stride=5", "describe.slice_s=10"]).describe
    expected, description = run(describe_video(decoder.open(path), whole))
    nothing, long = run(describe_video(decoder.open(path), cut))
    assert isinstance(long, LongVideo) and not nothing and len(long.slices) > 1
    copies = [Slice.from_json(one.to_json(), frame_rate_hz=25.0) for one in long.slices]
    parts = [run(describe_slice(decoder.open(path), one, cut)) for one in copies]
    batches = [batch for found, _ in parts for batch in found]
    for exact in ("indexes", "times_s", "rms", "pictures"):
        np.testing.assert_array_equal(joined(batches, exact), joined(expected, exact))
    # Decoders of noise-like sound make other noise after a seek.
    for descriptor, most in (("audio_mfcc65", 30), ("audio_context", 10)):
        off = np.abs(joined(batches, descriptor) - joined(expected, descriptor))
        assert np.median(off) < 0.05 and off.max() < most
    finished = long.description.finished(long.sound, [outcome for _, outcome in parts])
    assert finished.covered_s == pytest.approx(description.covered_s, abs=0.05)
    assert replaced(finished) == replaced(description)


@pytest.mark.parametrize(
    "name",
    [
        "corrupt_middle.mkv",
        "corrupt_packets.mp4",
        "truncated_faststart.mp4",
        "audio_starts_3s_late.mp4",
        "joined.ts",
        "joined longer.ts",
    ],
)
def test_slices_of_damaged_files_give_no_sample_that_the_whole_has_not(
    shared_data: Path, tmp_path: Path, decoder: Decoder, name: str
) -> None:
    path = shared_data / "bad" / name
    if name.startswith("joined"):  # two recordings, one after another: time goes back in the middle
        path = tmp_path / name
        for part, first_s, duration_s in (("a", 0.3, 8.0), ("b", 0.7, 20.0 if "longer" in name else 8.0)):
            times_s = np.arange(first_s, duration_s, 1.0).tolist()
            clip = tmp_path / f"{part}.ts"
            write_flash_and_click(
                clip, video_codec="mpeg2video", audio_codec="mp2", times_s=times_s, duration_s=duration_s
            )
        path.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    whole = load_settings().describe
    cut = whole.model_copy(update={"slice_s": 2.0})
    expected, description = run(describe_video(decoder.open(path), whole))
    _, long = run(describe_video(decoder.open(path), cut))
    assert isinstance(long, LongVideo) and len(long.slices) > 1
    parts = [run(describe_slice(decoder.open(path), one, cut)) for one in long.slices]
    batches = [batch for found, _ in parts for batch in found]
    finished = long.description.finished(long.sound, [outcome for _, outcome in parts])
    indexes, known = joined(batches, "indexes"), joined(expected, "indexes")
    assert set(indexes) <= set(known) and len(set(indexes)) == len(indexes) == finished.samples
    assert finished.samples == description.samples or finished.status == "partial"
    assert finished.samples > 0.7 * description.samples
    rows = np.searchsorted(known, indexes)
    np.testing.assert_array_equal(joined(batches, "rms"), joined(expected, "rms")[rows])
    off = np.abs(joined(batches, "audio_mfcc65") - joined(expected, "audio_mfcc65")[rows])
    assert np.median(off) < 0.05 and off.max() < 30
    unlike = np.abs(joined(batches, "pictures").astype(int) - joined(expected, "pictures")[rows]).mean(axis=(1, 2, 3))
    assert unlike.max() < 1


def test_stamps_that_drift_cost_no_frame(shared_data: Path, tmp_path: Path, decoder: Decoder) -> None:
    """As of a recorder whose sound card and clock disagree: read from elsewhere, the sound lies a frame beside."""
    path, drifting = next((shared_data / "collection" / "videos").glob("v001.*")), tmp_path / "drifting.mkv"
    with av.open(str(path)) as source, av.open(str(drifting), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                packet.pts, packet.dts = (round(stamp * 1.0015) for stamp in (packet.pts, packet.dts))
            packet.stream = streams[packet.stream_index]
            target.mux(packet)
    settings = load_settings(assignments=["describe.frame_stride=5", "describe.slice_s=10"]).describe
    _, long = run(describe_video(decoder.open(drifting), settings))
    assert isinstance(long, LongVideo) and long.sound is None and len(long.slices) > 1
    for one in long.slices:
        _, outcome = run(describe_slice(decoder.open(drifting), one, settings))
        assert outcome.problem is None and outcome.samples == one.frames.indexes.size, outcome


def test_frames_that_sound_otherwise_when_they_are_sought_are_left_out_and_told(
    shared_data: Path, decoder: Decoder
) -> None:
    path = next((shared_data / "collection" / "videos").glob("v001.*"))
    settings = load_settings(assignments=["describe.frame_stride=5", "describe.slice_s=10"]).describe
    _, long = run(describe_video(decoder.open(path), settings))
    assert isinstance(long, LongVideo)
    one = long.slices[0]
    louder = one.frames.rms.copy()
    louder[3:5] *= 3
    louder[7] /= 3
    batches, outcome = run(
        describe_slice(decoder.open(path), replace(one, frames=replace(one.frames, rms=louder)), settings)
    )
    assert set(one.frames.indexes) - set(joined(batches, "indexes")) == set(one.frames.indexes[[3, 4, 7]])
    assert (outcome.wanted, outcome.samples) == (one.frames.indexes.size, one.frames.indexes.size - 3)
    assert outcome.problem == Problem("damaged", "3 frames have another sound when they are sought")
    silent = replace(one, frames=replace(one.frames, rms=9 * one.frames.rms))
    batches, outcome = run(describe_slice(decoder.open(path), silent, settings))
    assert not batches and outcome.samples == 0 and outcome.problem is not None


def replaced(description: Description) -> Description:
    return replace(description, covered_s=None)


def test_what_is_missing_of_slices_adds_up() -> None:
    fine, none = SliceOutcome(0, 5, 5, 10.0), SliceOutcome(30, 5, 0, 0.0, Problem("stalled", "no progress for 9 s"))
    partial = SliceOutcome(20, 5, 3, 7.1, Problem("damaged", "1 damaged packet at 3.0 s"))
    ok = Description().finished(None, [fine, fine])
    assert (ok.status, ok.visual_status, ok.samples, ok.covered_s, ok.error) == ("ok", "ok", 10, 20.0, None)
    some = Description().finished(Problem("damaged", "no sound at 1-2 s"), [fine, partial, none])
    assert (some.status, some.audio_status, some.visual_status, some.samples) == ("partial", "partial", "partial", 8)
    assert some.error_class == "stalled"
    assert some.error == "no sound at 1-2 s; 1 damaged packet at 3.0 s; no progress for 9 s"
    assert Description().finished(Problem("damaged", "no sound at 1-2 s"), [none, partial, fine]) == some
    lost = Description().finished(None, [none, none])
    assert (lost.status, lost.audio_status, lost.visual_status, lost.samples) == ("failed", "ok", "failed", 0)
    quiet = Description().finished(None, [SliceOutcome(0, 0, 0, 10.0)])
    assert (quiet.status, quiet.visual_status) == ("ok", "not_tried")


def test_sound_that_outlasts_the_pictures_is_told(tmp_path: Path, decoder: Decoder) -> None:
    short, path = tmp_path / "short.mkv", tmp_path / "sound goes on.mkv"
    times_s = np.arange(0, 12, 0.2).tolist()
    write_flash_and_click(short, video_codec="mpeg4", audio_codec="flac", times_s=times_s, duration_s=12.0)
    with av.open(str(short)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None and (packet.stream.type == "audio" or packet.pts * packet.time_base < 4):
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    batches, description = run(describe_video(decoder.open(path), load_settings().describe))
    assert (description.status, description.visual_status) == ("partial", "partial")
    assert description.error == "no pictures after 4.0 s"
    assert description.covered_s == pytest.approx(4, abs=0.1)
    assert joined(batches, "times_s").max() < 4


def with_broken_stamp(video: bytes, *, kind: int, place: int, value: int, nth: int = 0) -> bytes:
    """An FLV in which a byte of the time of the n-th packet after 3 s is another.

    kind: 8 sound, 9 pictures.  place: from its tag.
    """
    at, found = 13, []  # tags: kind, size (3), time (3), its upper byte, stream (3), data, size of the tag (4)
    while len(found) <= nth:
        if video[at] == kind and int.from_bytes(video[at + 4 : at + 7], "big") > 3000:
            found.append(at)
        at += 11 + int.from_bytes(video[at + 1 : at + 4], "big") + 4
    return video[: found[nth] + place] + bytes([value]) + video[found[nth] + place + 1 :]


@pytest.fixture
def flv(tmp_path: Path) -> Path:
    path = tmp_path / "stamp.flv"
    times_s = np.arange(0, 8, 0.2).tolist()
    write_flash_and_click(path, video_codec="libx264", audio_codec="aac", times_s=times_s, duration_s=8.0)
    return path


def test_a_broken_stamp_costs_its_packet(flv: Path, decoder: Decoder) -> None:
    """One byte of a sound packet's time: far beyond what decode.max_duration_s lets in."""
    _, whole = run(describe_video(decoder.open(flv), load_settings().describe))
    flv.write_bytes(with_broken_stamp(flv.read_bytes(), kind=8, place=7, value=4))
    _, broken = run(describe_video(decoder.open(flv), load_settings().describe))
    assert whole.status == "ok" and broken.status == "partial"
    assert broken.samples >= whole.samples - 3
    assert broken.covered_s == pytest.approx(whole.covered_s, abs=0.3)


@pytest.mark.parametrize(("place", "value"), [(7, 4), (5, 0x1A)], ids=["hours ahead", "seconds ahead"])
def test_a_broken_stamp_of_a_picture_costs_that_picture(flv: Path, place: int, value: int) -> None:
    def pictures() -> tuple[dict[int, UInt8Array], str | None]:
        reader = PictureReader(flv, probe(flv), times_s=np.arange(0.02, 8, 0.04), size_px=32)
        return {int(i): p for ids, found in reader for i, p in zip(ids, found.copy(), strict=True)}, reader.damage

    whole, undamaged = pictures()
    flv.write_bytes(with_broken_stamp(flv.read_bytes(), kind=9, place=place, value=value))
    broken, damage = pictures()
    assert len(whole) == 200 and undamaged is None
    assert damage is not None and len(broken) >= 196
    assert sum(np.abs(whole[i].astype(int) - broken[i]).max() > 8 for i in broken) <= 3


@pytest.mark.parametrize(
    ("ahead", "until_s"), [((0x1A, 0x1B), 6.8), ((0x15, 0x1C), 5.5)], ids=["together", "seconds apart"]
)
def test_pictures_after_two_broken_stamps_are_told_as_lost(
    tmp_path: Path, ahead: tuple[int, int], until_s: float
) -> None:
    """Both lie seconds ahead, so the second is no reason to doubt the first: pictures are out until time gets there."""
    path = tmp_path / "stamps.flv"  # of a codec whose packets lie in the order of display
    times_s = np.arange(0, 8, 0.04).tolist()
    write_flash_and_click(path, video_codec="flv", audio_codec="aac", times_s=times_s, duration_s=8.0)
    once = with_broken_stamp(path.read_bytes(), kind=9, place=5, value=ahead[0], nth=0)
    path.write_bytes(with_broken_stamp(once, kind=9, place=5, value=ahead[1], nth=1))
    reader = PictureReader(path, probe(path), times_s=np.array([1.0, 7.5]), size_px=32)
    assert [index for indexes, _ in reader for index in indexes] == [0, 1]
    assert reader.damage is not None
    lost = re.fullmatch(r"(\d+) damaged packets between 3\.\d s and (\d\.\d) s", reader.damage)
    assert lost is not None and float(lost[2]) == pytest.approx(until_s, abs=0.3)
    assert int(lost[1]) == pytest.approx(25 * (float(lost[2]) - 3.1), abs=4)


@pytest.mark.parametrize(("suffix", "sound"), [("flv", "aac"), ("mkv", "flac")])
def test_a_duration_that_is_too_short_costs_nothing(tmp_path: Path, decoder: Decoder, suffix: str, sound: str) -> None:
    path = tmp_path / f"long.{suffix}"
    times_s = np.arange(0, 20, 0.2).tolist()
    write_flash_and_click(path, video_codec="libx264", audio_codec=sound, times_s=times_s, duration_s=20.0)
    content = bytearray(path.read_bytes())
    mark, unit_s = {"flv": (b"duration\0", 1.0), "mkv": (b"\x44\x89\x88", 1e-3)}[suffix]
    at = content.index(mark) + len(mark)
    assert struct.unpack(">d", content[at : at + 8])[0] == pytest.approx(20 / unit_s, rel=0.01)
    content[at : at + 8] = struct.pack(">d", 2 / unit_s)
    path.write_bytes(content)
    settings = load_settings(assignments=["describe.slice_s=10"])
    for given in (load_settings(), settings):
        batches, found = run(describe_video(decoder.open(path), given.describe))
        if isinstance(found, LongVideo):
            parts = [run(describe_slice(decoder.open(path), one, given.describe)) for one in found.slices]
            batches = [batch for some, _ in parts for batch in some]
            found = found.description.finished(found.sound, [outcome for _, outcome in parts])
        assert (found.status, found.duration_s) == ("ok", pytest.approx(2, abs=0.1))
        assert joined(batches, "times_s").max() > 19.5 and found.covered_s == pytest.approx(20, abs=0.1)


@pytest.mark.parametrize("slice_s", [300, 10])
def test_the_sound_is_gone_before_pictures_are_read(
    flv: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch, slice_s: float
) -> None:
    """A video's sound and its pictures are never in memory at once."""
    given = load_settings(assignments=[f"describe.slice_s={slice_s}"]).describe.model_copy(update={"slice_s": slice_s})
    heard = []

    def describe_sound(waveform, *args, **kwargs):
        heard.append(weakref.ref(waveform))
        return describe_before(waveform, *args, **kwargs)

    describe_before = video_description._describe_sound
    monkeypatch.setattr(video_description, "_describe_sound", describe_sound)
    _, whole = run(describe_video(decoder.open(flv), given.model_copy(update={"slice_s": 2.0})))
    steps = describe_video(decoder.open(flv), given)
    if slice_s == 10:
        steps = describe_slice(decoder.open(flv), whole.slices[1], given)
    next(steps)
    (waveform,) = heard
    assert waveform() is None


def test_what_cannot_be_opened_is_known_by_its_content(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_bytes(b"no video")
    settings = load_settings()
    with Decoder(settings.decode) as decoder:
        described = describe_video(decoder.open(text), settings.describe)
        with pytest.raises(StopIteration) as end:
            next(described)
    assert end.value.value.status == "failed"
    assert end.value.value.content_hash == hashlib.sha256(b"no video").hexdigest()
