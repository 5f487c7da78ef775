"""Whatever happens in the decoding process costs the video it happened to, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from media_files import write_flash_and_click

from avlib.config import DecodeSettings, load_settings
from avlib.description import Description, describe_video
from avlib.errors import MediaError
from avlib.media import Decoder

pytestmark = pytest.mark.faults

INJECTED = Path(__file__).parent / "injected"
STALL_S, VIDEO_S = 3.0, 20.0
MEMORY_MB = 640


def settings(**changes: float) -> DecodeSettings:
    return load_settings().decode.model_copy(
        update={"stall_s": STALL_S, "video_s": VIDEO_S, "memory_mb": MEMORY_MB} | changes
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


def test_what_goes_on_for_ever_is_ended(good: Path) -> None:
    with Decoder(settings(video_s=0.2)) as decoding:
        video = decoding.open(good)
        with pytest.raises(MediaError, match=r"0\.2 s") as caught:
            for _ in range(10_000):
                video.probe()
    assert caught.value.error_class == "timeout"


def test_it_dies_with_its_parent(good: Path, tmp_path: Path) -> None:
    bad = tmp_path / "sleeps.mp4"
    bad.write_bytes(good.read_bytes())
    script = (
        "import sys; from pathlib import Path\n"
        "from avlib.config import load_settings; from avlib.media import Decoder\n"
        "decoder = Decoder(load_settings().decode); connection = decoder.connection()\n"
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


@pytest.mark.parametrize("kind", ["hls", "concat", "dash", "reference"])
def test_no_file_opens_another(tmp_path: Path, decoder: Decoder, good: Path, kind: str) -> None:
    path = tmp_path / "innocent.mp4"
    match kind:
        case "hls":
            path.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{good}\n#EXT-X-ENDLIST\n")
        case "concat":
            path.write_text(f"ffconcat version 1.0\nfile {good}\n")
        case "dash":
            path.write_text(f'<?xml version="1.0"?><MPD><BaseURL>file://{good}</BaseURL></MPD>')
        case "reference":  # QuickTime's data references: the samples lie in a file that this one names
            path.write_bytes(_referring(good))
    description, samples = outcome(decoder, path)
    assert description.status == "failed" and not samples


def _referring(good: Path) -> bytes:
    """`good` without its media, its tracks' data references naming it instead."""
    content = good.read_bytes()
    at = content.index(b"mdat") - 4
    size = int.from_bytes(content[at : at + 4], "big")
    content = content[:at] + size.to_bytes(4, "big") + b"free" + bytes(size - 8) + content[at + size :]
    flags = b"url \x00\x00\x00\x01"
    assert flags in content
    return content.replace(flags, b"alis\x00\x00\x00\x00")
