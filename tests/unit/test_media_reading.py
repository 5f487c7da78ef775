"""What a disk that fails in mid-file is told from: damage of the file's own."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.container import InputContainer
from av.error import FFmpegError
from media_files import write_flash_and_click

from avlib.errors import MediaError
from avlib.media import progress
from avlib.media.opening import _opening_error, open_media
from avlib.media.probe import probe
from avlib.media.reading import Damage, decoded_frames, nothing_decoded

UNREADABLE = "/proc/self/mem"  # a file that opens, and whose first byte is an input/output error


class Failing:
    """A container that lies at another place, and ends in an error after some packets."""

    def __init__(self, container: InputContainer, *, code: int, name: str) -> None:
        self._container, self._error, self.name, self.streams = container, code, f"file:{name}", container.streams
        self._packets = islice(container.demux(), 40)

    def demux(self) -> Iterator[Any]:
        yield from self._packets
        kinds = {errno.EINVAL: av.error.ArgumentError, errno.ENOMEM: av.error.MemoryError}
        raise kinds.get(self._error, av.error.OSError)(self._error, "failed")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "video.mkv"
    write_flash_and_click(path, video_codec="mpeg4", audio_codec="aac", times_s=(1.0,), duration_s=3.0)
    return path


def read_failing(video: Path, *, code: int, name: str) -> tuple[int, Damage]:
    info, damage = probe(video), Damage()
    with open_media(video) as container:
        failing: Any = Failing(container, code=code, name=name)
        return len(list(decoded_frames(failing, container.streams.video[0], info, damage))), damage


@pytest.mark.skipif(not Path(UNREADABLE).exists(), reason="no /proc on this system")
def test_a_disk_that_fails_is_transient(video: Path) -> None:
    with pytest.raises(MediaError, match=f"{UNREADABLE}.*Input/output error") as caught:
        read_failing(video, code=errno.EIO, name=UNREADABLE)
    assert caught.value.error_class == "unreadable" and caught.value.transient
    assert isinstance(caught.value.__cause__, FFmpegError)


@pytest.mark.parametrize("code", [errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN])
def test_a_mount_that_comes_back_is_transient(video: Path, code: int) -> None:
    with pytest.raises(MediaError, match="cannot be read") as caught:
        read_failing(video, code=code, name=str(video))
    assert caught.value.error_class == "unreadable" and caught.value.transient


def test_a_lack_of_memory_is_told_where_nothing_is_decoded(video: Path) -> None:
    frames, damage = read_failing(video, code=errno.ENOMEM, name=str(video))
    assert frames > 5 and damage.losses == 1  # what there is counts: a damaged packet may ask for any amount
    assert nothing_decoded(video, "picture", "ffv1", damage).error_class == "memory_limit"
    assert nothing_decoded(video, "picture", "ffv1", Damage()).error_class == "undecodable"


def test_what_is_read_once_more_is_progress(video: Path) -> None:
    """As where pictures are sought in vain, and read from the beginning."""
    told: list[int] = []
    info = probe(video)
    progress.tell(lambda: told.append(1))
    for opened in (1, 2):
        with open_media(video) as container:
            frames = list(decoded_frames(container, container.streams.video[0], info, Damage()))
        assert len(frames) > 50 and len(told) > opened * 50
    progress.tell(lambda: None)


@pytest.mark.parametrize("suffix", ["mkv", "webm", "flac", "ts", "mp3"])
def test_a_header_that_is_cut_off_is_no_failing_disk(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    with av.open(str(whole), "w") as container:
        codec = {"webm": "libopus", "flac": "flac", "mp3": "mp3"}.get(suffix, "aac")
        stream: Any = container.add_stream(codec, rate=48000, layout="mono")
        resampler = av.AudioResampler(stream.format, layout="mono", rate=48000, frame_size=stream.frame_size or None)
        for _ in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 48000
            for converted in resampler.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    refused = []
    for size in (20, 100, 300):
        cut = tmp_path / f"cut-{size}.{suffix}"
        cut.write_bytes(whole.read_bytes()[:size])
        try:
            probe(cut)
        except MediaError as error:
            refused.append(error)
            assert error.error_class in ("incomplete", "not_media", "no_streams") and not error.transient
    assert refused


@pytest.mark.skipif(not Path(UNREADABLE).exists(), reason="no /proc on this system")
def test_a_header_that_a_failing_disk_holds_back_is_not_called_broken() -> None:
    error = _opening_error(Path(UNREADABLE), av.error.InvalidDataError(errno.EINVAL, "no index found"))
    assert error.error_class == "unreadable" and error.transient


@pytest.mark.parametrize("code", [errno.EIO, errno.EINVAL])
def test_damage_that_reads_well_is_the_files_own(video: Path, code: int) -> None:
    frames, damage = read_failing(video, code=code, name=str(video) if code == errno.EIO else UNREADABLE)
    assert frames > 5 and damage.losses == 1 and damage.at_end
