"""Which place is full, and which folders go."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest
from pyarrow import fs

from avlib.errors import WarehouseError
from avlib.storage import full_disk, local_copy, remove_others

Usage = namedtuple("Usage", "free total")


def test_the_fuller_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roomy, full = tmp_path / "roomy", tmp_path / "full"
    roomy.mkdir()
    full.mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100 if Path(path) == roomy else 1, 1000))
    places = [str(roomy), str(full), str(tmp_path / "nowhere")]
    assert full_disk(OSError(28, "No space left on device"), places) == str(full)
    assert full_disk(RuntimeError("Caused by: java.io.IOException: No space left on device"), places) == str(full)
    assert full_disk(RuntimeError("no such file"), places) is None
    assert full_disk(OSError(28, "No space left on device"), ["s3://bucket/W"]) == "s3://bucket/W"


def test_a_full_disk_of_another_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = (
        "Job aborted due to stage failure: Task 3 in stage 7.0 failed 4 times, most recent failure: Lost task 3.3 in "
        "stage 7.0 (TID 90) ({} executor {}): java.io.IOException: No space left on device"
    )
    of_executor, of_driver = (RuntimeError(said.format(*task)) for task in (("10.0.0.7", "12"), ("here", "driver")))
    for free, place in ((100, "executor 12 on 10.0.0.7, one of its disks"), (1, str(tmp_path))):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: Usage(free, 1000))
        assert full_disk(of_executor, [str(tmp_path)]) == place
        assert full_disk(of_driver, [str(tmp_path)]) == str(tmp_path)
    assert full_disk(of_executor, ["s3://bucket/W"]) == "executor 12 on 10.0.0.7, one of its disks"


def test_others_go(tmp_path: Path) -> None:
    for name in ("knn-a", "knn-b", "copies-a"):
        (tmp_path / name).mkdir()
    remove_others(str(tmp_path), prefix="knn-", keep="knn-b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copies-a", "knn-b"]
    remove_others(str(tmp_path / "nowhere"), prefix="knn-", keep="")


@pytest.mark.parametrize("made", ["writable by others", "a link", "a file"])
def test_a_copy_lies_where_nobody_else_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str) -> None:
    remote, _ = fs.FileSystem.from_uri("mock:///shard")
    with remote.open_output_stream("shard") as stream:
        stream.write(b"content")
    monkeypatch.setattr(
        "avlib.storage.filesystem",
        lambda uri: (remote if "://" in uri else fs.LocalFileSystem(), uri.rpartition("//")[2]),
    )
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    copy = local_copy("mock://shard")
    assert copy.read_bytes() == b"content" and copy.parent == tmp_path / f"avlib-{os.getuid()}"
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    assert local_copy("mock://shard") == copy
    shutil.rmtree(copy.parent)
    (tmp_path / "theirs").mkdir(mode=0o700)
    match made:
        case "a link":
            copy.parent.symlink_to(tmp_path / "theirs")
        case "a file":
            copy.parent.touch()
        case _:
            copy.parent.mkdir()
            copy.parent.chmod(0o777)
    with pytest.raises(WarehouseError, match="is not a folder that this user alone may write"):
        local_copy("mock://shard")
