"""Which place is full, and which folders go."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from avlib.storage import full_disk, remove_others

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
