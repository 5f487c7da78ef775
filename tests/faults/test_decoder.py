"""Whatever happens in the decoding process costs the video it happened to, and nothing else."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_files import write_flash_and_click
from PIL import Image

from avlib.config import DecodeSettings, load_settings
from avlib.description import Description, describe_video
from avlib.errors import InputError, MediaError
from avlib.media import Decoder, IsolatedVideo
from avlib.media.opening import open_media

pytestmark = pytest.mark.faults

INJECTED = Path(__file__).parent / "injected"
STALL_S, VIDEO_S = 3.0, 20.0
MEMORY_MB = 640


def settings(**changes: float) -> DecodeSettings:
    return load_settings().decode.model_copy(
        update={"stall_s": STALL_S, "video_s": VIDEO_S, "memory_mb": MEMORY_MB, "still_memory_mb": MEMORY_MB} | changes
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "good.mp4"
    write_flash_and_click(
        path, video_codec="mpeg4", audio_codec="aac", times_s=np.arange(0, 4, 0.2).tolist(), duration_s=4.0
    )
    return path


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Decoder]:
    monkeypatch.syspath_prepend(str(INJECTED))
    with Decoder(settings()) as decoding:
        yield decoding


def outcome(decoder: Decoder, path: Path) -> tuple[Description, int]:
    """What came of a video, and its samples counted."""
    steps = describe_video(decoder.open(path), load_settings().describe)
    samples = 0
    while True:
        try:
            samples += len(next(steps).indexes)
        except StopIteration as end:
            return end.value, samples


@pytest.mark.parametrize(
    ("fault", "error_class", "words"),
    [
        ("sleeps", "stalled", "no progress for 3 s"),
        ("holds", "stalled", "no progress for 3 s"),
        ("hogs", "memory_limit", "decode.memory_mb"),
        ("crashes", "crashed", "SIGSEGV"),
    ],
)
def test_a_fault_costs_its_video_only(good: Path, decoder: Decoder, fault: str, error_class: str, words: str) -> None:
    bad = good.with_name(f"{fault}.mp4")
    bad.write_bytes(good.read_bytes())
    expected = outcome(decoder, good)
    assert expected[0].status == "ok" and expected[1] > 20
    started = time.monotonic()
    description, samples = outcome(decoder, bad)
    assert time.monotonic() - started < STALL_S + 10
    assert (description.status, description.error_class, samples) == ("failed", error_class, 0)
    assert description.error is not None and words in description.error and not description.transient
    assert outcome(decoder, good) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process waits for")
def test_a_disk_that_does_not_answer_is_tried_again(good: Path, decoder: Decoder) -> None:
    bad = good.with_name("waits.mp4")
    bad.write_bytes(good.read_bytes())
    description, _ = outcome(decoder, bad)
    assert (description.status, description.error_class, description.transient) == ("failed", "stalled", True)
    assert description.error == "no progress for 3 s (decode.stall_s): its disk or mount does not answer"
    assert outcome(decoder, good)[0].status == "ok"


def test_files_are_hashed_within_limits(tmp_path: Path, decoder: Decoder) -> None:
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(b"0123456789" * 300_000)
    assert decoder.open(whole).content_hash() == hashlib.sha256(whole.read_bytes()).hexdigest()
    os.mkfifo(tmp_path / "pipe.mp4")
    os.truncate(whole, 20 << 30)  # takes no room, and tens of seconds to read
    hasty = IsolatedVideo(decoder, whole, settings(video_s=1.0))
    for video, error_class in ((decoder.open(tmp_path / "pipe.mp4"), "not_media"), (hasty, "timeout")):
        with pytest.raises(MediaError) as raised:
            video.content_hash()
        assert raised.value.error_class == error_class


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("holds", "cannot be decoded within 2 s (decode.still_s); give another"),
        ("hogs", f"cannot be decoded within {MEMORY_MB} MB (decode.still_memory_mb); give another"),
        ("crashes", "is not a picture avlib can read (crashed); give another"),
    ],
)
def test_a_fault_costs_its_picture_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str) -> None:
    monkeypatch.syspath_prepend(str(INJECTED))
    Image.new("RGB", (40, 30), "red").save(tmp_path / "good.png")
    bad = tmp_path / f"{fault}.png"
    bad.write_bytes((tmp_path / "good.png").read_bytes())
    with Decoder(settings(still_s=2.0)) as decoding:
        with pytest.raises(InputError) as raised:
            decoding.still(bad, max_pixels=10_000, name="this")
        assert str(raised.value) == f"this {said}"
        good = decoding.still(tmp_path / "good.png", max_pixels=10_000, name="this")
        assert good.shape == (30, 40, 3) and good[0, 0].tolist() == [255, 0, 0]


def test_a_large_picture_may_take_more_memory_than_a_video(tmp_path: Path, good: Path) -> None:
    Image.new("RGB", (7000, 7000), "red").save(tmp_path / "large.webp", method=0, quality=10)
    with Decoder(settings(still_s=60.0, still_memory_mb=2048)) as decoding:
        large = decoding.still(tmp_path / "large.webp", max_pixels=50_000_000, name="this")
        assert large.shape == (3500, 3500, 3)
        assert outcome(decoding, good)[0].status == "ok"
    with Decoder(settings(still_s=60.0)) as decoding, pytest.raises(InputError, match=r"decode\.still_memory_mb"):
        decoding.still(tmp_path / "large.webp", max_pixels=50_000_000, name="this")


@pytest.mark.parametrize(("fault", "error_class"), [("sleeps", "stalled"), ("crashes", "crashed")])
def test_what_was_read_before_is_kept(good: Path, decoder: Decoder, fault: str, error_class: str) -> None:
    bad = good.with_name(f"late-{fault}.mp4")
    bad.write_bytes(good.read_bytes())
    small = load_settings(assignments=["describe.picture_batch=2"]).describe
    batches, steps = [], describe_video(decoder.open(bad), small)
    with pytest.raises(StopIteration) as end:
        while True:
            batches.append(next(steps))
    description = end.value.value
    assert sum(len(batch.indexes) for batch in batches) == description.samples == 4
    assert (description.status, description.audio_status, description.visual_status) == ("partial", "ok", "partial")
    assert description.error_class == error_class and 0 < description.covered_s < 4


def test_what_goes_on_for_ever_is_ended(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(INJECTED))
    bad = good.with_name("goes-on.mp4")
    bad.write_bytes(good.read_bytes())
    started = time.monotonic()
    with Decoder(settings(video_s=4.0)) as decoding, pytest.raises(StopIteration) as end:
        next(describe_video(decoding.open(bad), load_settings().describe))
    assert time.monotonic() - started < 15
    assert end.value.value.sound.error_class == "timeout"


def test_jars_on_the_path_cost_no_open_files(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark puts the JARs of its packages on the path of its workers, on a cluster some fifty."""
    for number in range(80):
        with zipfile.ZipFile(tmp_path / f"{number}.jar", "w") as jar:
            jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0")
        monkeypatch.syspath_prepend(str(tmp_path / f"{number}.jar"))
    with Decoder(settings()) as decoding:
        assert outcome(decoding, good)[0].status == "ok"


def test_small_packets_take_no_longer_than_large_ones(tmp_path: Path, decoder: Decoder) -> None:
    path = tmp_path / "small.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for index in range(16_000):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, index, Fraction(1, 16_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    video = decoder.open(path)
    info = video.probe()
    started = time.monotonic()
    assert sum(piece.waveform.shape[1] for piece in video.sound(info, sample_rate_hz=16_000)) == 16_000
    assert time.monotonic() - started < 10


def test_it_dies_with_its_parent(good: Path, tmp_path: Path) -> None:
    bad = tmp_path / "sleeps.mp4"
    bad.write_bytes(good.read_bytes())
    script = (
        "import sys; from pathlib import Path\n"
        "from avlib.config import load_settings; from avlib.media import Decoder\n"
        "decoder = Decoder(load_settings().decode); decoder.end(decoder.begin(), answered=True)\n"
        "print(decoder._process.pid, flush=True); decoder.open(Path(sys.argv[1])).probe()"
    )
    path = os.pathsep.join([str(INJECTED), *filter(None, sys.path)])
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(bad)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert alive(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def test_it_knows_nothing_of_its_parent_and_can_do_little(
    good: Path, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    decoder.open(good).probe()
    assert decoder._process is not None
    there = Path(f"/proc/{decoder._process.pid}")
    assert b"avlib.media.child" in (there / "cmdline").read_bytes()  # a program of its own, no fork
    environment = (there / "environ").read_bytes()
    assert b"PYTHONPATH=" in environment and b"AWS_" not in environment and b"secret" not in environment
    limits = dict(re.findall(r"^(Max [a-z ]+?) {2,}(\d+) ", (there / "limits").read_text(), re.MULTILINE))
    assert {
        "Max address space": str(MEMORY_MB << 20),
        "Max file size": "0",
        "Max core file size": "0",
        "Max open files": "64",
    }.items() <= limits.items()


def test_no_more_than_so_long_is_read(good: Path) -> None:
    with Decoder(settings(max_duration_s=2.0)) as decoding:
        description, samples = outcome(decoding, good)
    with Decoder(settings()) as decoding:
        whole, of_whole = outcome(decoding, good)
    assert (whole.status, whole.covered_s) == ("ok", pytest.approx(4.0, abs=0.1))
    assert description.status == "partial"
    assert description.covered_s is not None and 2.0 <= description.covered_s < 3.0  # up to the end of a piece
    assert description.error is not None and "only the first 2 s are read" in description.error
    assert 0 < samples < 0.8 * of_whole


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_it_is_replaced_after_so_many_videos(good: Path) -> None:
    with Decoder(settings(renew_after=2)) as decoding:
        seen = []
        for _ in range(5):
            decoding.open(good).probe()
            assert decoding._process is not None
            seen.append(decoding._process.pid)
    assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4]
    assert not any(alive(pid) for pid in seen)


def test_a_reader_that_is_left_early_leaves_nothing_behind(good: Path, decoder: Decoder) -> None:
    video = decoder.open(good)
    info = video.probe()
    pictures = iter(video.pictures(info, times_s=np.arange(0, 4, 0.04), size_px=64, batch=2))
    first = next(pictures)
    pictures.close()
    assert len(first[0]) == 2
    again = list(decoder.open(good).pictures(info, times_s=np.arange(0, 4, 0.04), size_px=64, batch=50))
    assert [len(indexes) for indexes, _ in again] == [50, 50]


def test_it_imports_neither_torch_nor_spark() -> None:
    script = "import sys, avlib.media.child; print([m for m in ('torch', 'pyspark', 'librosa') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("width", "height", "error_class"),
    [(20_000, 10_000, "too_large"), (100_000, 100_000, "undecodable")],  # the second FFmpeg itself refuses
)
def test_pictures_too_large_for_memory_are_refused(
    tmp_path: Path, decoder: Decoder, width: int, height: int, error_class: str
) -> None:
    path = tmp_path / "huge.avi"
    write_flash_and_click(path, video_codec="rawvideo", audio_codec="pcm_s16le", times_s=(0.5,), duration_s=1.0)
    content = bytearray(path.read_bytes())
    header = content.index(b"strf") + 8  # BITMAPINFOHEADER: size, width, height
    content[header + 4 : header + 12] = np.array([width, height], "<i4").tobytes()
    path.write_bytes(content)
    description, samples = outcome(decoder, path)
    assert (description.status, description.error_class, samples) == ("failed", error_class, 0)


def test_pictures_that_outgrow_the_memory_are_told_as_such(tmp_path: Path, decoder: Decoder) -> None:
    """The H.264 decoder calls it invalid data."""
    path = tmp_path / "grows.ts"
    parts = [tmp_path / "small.ts", tmp_path / "large.ts"]
    write_pictures(parts[0], width=320, height=240, from_s=1, duration_s=6)
    write_pictures(parts[1], width=10_000, height=8_000, from_s=7, duration_s=1)
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    description, samples = outcome(decoder, path)
    assert (description.status, description.error_class) == ("partial", "memory_limit")
    assert samples > 60 and description.covered_s == pytest.approx(6, abs=0.5)
    assert "decode.memory_mb" in str(description.error)


def write_pictures(path: Path, *, width: int, height: int, from_s: int, duration_s: int) -> None:
    """Grey pictures, five a second, and noise."""
    with av.open(str(path), "w", format="mpegts") as container:
        video = container.add_stream("libx264", rate=5, options={"preset": "ultrafast", "g": "5", "bf": "0"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("mp2", rate=16_000, layout="mono")
        for number in range(5 * duration_s):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = 5 * from_s + number, Fraction(1, 5)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        noise = (np.random.default_rng(0).normal(size=16_000 * duration_s) * 3000).astype(np.int16)
        for first in range(0, noise.size, 1152):
            sound = av.AudioFrame.from_ndarray(noise[None, first : first + 1152], format="s16", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 16_000, 16_000 * from_s + first, Fraction(1, 16_000)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def test_a_reader_that_is_left_and_kept_says_nothing_to_the_next(good: Path, decoder: Decoder) -> None:
    video = decoder.open(good)
    info = video.probe()
    left = iter(video.pictures(info, times_s=np.arange(0, 4, 0.04), size_px=64, batch=2))
    next(left)
    assert decoder.open(good).probe() == info
    with pytest.raises(MediaError):
        list(left)
    assert decoder.open(good).probe() == info


@pytest.mark.parametrize("kind", ["m3u8", "ffconcat"])
def test_no_file_opens_another(tmp_path: Path, decoder: Decoder, kind: str) -> None:
    part, path = tmp_path / "part.ts", tmp_path / f"list.{kind}"
    write_flash_and_click(part, video_codec="mpeg2video", audio_codec="mp2", times_s=(1.0,), duration_s=2.0)
    lists = {
        "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\npart.ts\n#EXT-X-ENDLIST\n",
        "ffconcat": "ffconcat version 1.0\nfile part.ts\n",
    }
    path.write_text(lists[kind])
    with av.open(str(path)) as container:  # as it stands FFmpeg would follow it
        assert len(container.streams.video) == 1
    description, samples = outcome(decoder, path)
    assert (description.status, description.error_class, samples) == ("failed", "not_media", 0)


def test_a_session_description_is_no_media(tmp_path: Path, decoder: Decoder) -> None:
    path = tmp_path / "session.sdp"
    path.write_text("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 40404 RTP/AVP 26\n")
    description, samples = outcome(decoder, path)
    assert (description.status, description.error_class, samples) == ("failed", "not_media", 0)


def test_a_movie_whose_data_lie_in_another_file_reads_no_other_file(tmp_path: Path, decoder: Decoder) -> None:
    holder, path = tmp_path / "holder.mov", tmp_path / "refers.mov"
    write_flash_and_click(holder, video_codec="mpeg4", audio_codec="pcm_s16le", times_s=(1.0,), duration_s=2.0)
    path.write_bytes(refers_to(holder.read_bytes(), holder))
    with av.open(str(path), options={"enable_drefs": "1", "use_absolute_path": "1"}) as container:
        assert sum(1 for _ in container.decode(video=0)) == 50  # who allows it gets the other file's
    description, samples = outcome(decoder, path)
    assert (description.status, samples) == ("failed", 0)


def refers_to(movie: bytes, holder: Path) -> bytes:
    """A QuickTime movie without its data: all its tracks say that they lie in another file."""
    place = str(holder).encode()
    place += bytes(len(place) % 2)
    # A Macintosh alias, as far as FFmpeg reads it: volume, file name, levels up and down, then the absolute path.
    alias = bytes(10 + 1 + 27 + 12 + 1 + 63 + 16 + 4 + 16) + struct.pack(">hh", 2, len(place)) + place + b"\xff\xff\0\0"
    entry = box(b"alis", bytes(4) + alias)

    def changed(boxes: bytes) -> bytes:
        found, at = b"", 0
        while at < len(boxes):
            size, kind = struct.unpack(">I4s", boxes[at : at + 8])
            inside = boxes[at + 8 : at + size]
            if kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
                inside = changed(inside)
            elif kind == b"dref":
                inside = inside[:8] + entry
            elif kind == b"mdat":
                inside = bytes(len(inside))
            found += box(kind, inside)
            at += size
        return found

    return changed(movie)


def box(kind: bytes, inside: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def test_a_codec_that_is_not_allowed_is_not_run(tmp_path: Path, decoder: Decoder) -> None:
    path = tmp_path / "snow.mkv"
    write_flash_and_click(path, video_codec="snow", audio_codec="flac", times_s=(1.0,), duration_s=2.0)
    with av.open(str(path)) as plain, open_media(path) as limited:
        assert plain.streams.video[0].codec_context.pix_fmt is not None  # its decoder has looked
        assert limited.streams.video[0].codec_context.pix_fmt is None
    description, samples = outcome(decoder, path)
    assert (description.status, description.error_class, samples) == ("failed", "codec_refused", 0)


def test_a_kill_from_outside_may_pass(good: Path, decoder: Decoder) -> None:
    video = decoder.open(good)
    info = video.probe()
    pictures = iter(video.pictures(info, times_s=np.arange(0, 4, 0.04), size_px=64, batch=2))
    next(pictures)
    assert decoder._process is not None
    decoder._process.send_signal(signal.SIGKILL)
    with pytest.raises(MediaError, match="SIGKILL") as caught:
        list(pictures)
    assert caught.value.error_class == "crashed" and caught.value.transient


def test_files_of_all_kinds(shared_data: Path, decoder: Decoder) -> None:
    with (shared_data / "bad" / "expected.csv").open(newline="") as file:
        words = {"no-audio": "no_audio", "no-video": "no_video", "fail": "failed", "skip": "skipped"}
        expected = {row["file"]: words.get(row["expect"], row["expect"]) for row in csv.DictReader(file)}
    found = {name: outcome(decoder, shared_data / "bad" / name) for name in expected}
    assert {name: description.status for name, (description, _) in found.items()} == expected
    clips = sorted((shared_data / "web_clips").glob("*.m*"))
    assert len(clips) == 24
    for clip in clips:
        description, samples = outcome(decoder, clip)
        assert description.status in ("ok", "no_audio"), (clip, description.error)
        assert samples > 0 or description.status == "no_audio", clip
