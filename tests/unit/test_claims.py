"""One run at a time: others are refused by name, or wait; a run that was killed blocks nobody."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from avlib import claims
from avlib.claims import claimed, running
from avlib.errors import WarehouseError

HOLD = "import sys, time; from avlib.claims import claimed\nwith claimed(sys.argv[1], 'describe'): time.sleep(60)"


def held(warehouse: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(warehouse)])
    while not running(str(warehouse)):
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_another_run_is_named_and_a_killed_one_forgotten(tmp_path: Path) -> None:
    holder = held(tmp_path)
    try:
        (claim,) = running(str(tmp_path))
        assert (claim.work, claim.process) == ("describe", holder.pid)
        with pytest.raises(WarehouseError, match=rf"another run is at this .describe, since .* process {holder.pid}"):  # noqa: SIM117
            with claimed(str(tmp_path), "describe"):
                pass
        with claimed(str(tmp_path), "filter-default"):
            assert [claim.work for claim in running(str(tmp_path))] == ["describe", "filter-default"]
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert running(str(tmp_path)) == []
    with claimed(str(tmp_path), "describe"):
        assert running(str(tmp_path))[0].process == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_waiting(tmp_path: Path) -> None:
    order: list[str] = []

    def work(name: str) -> None:
        with claimed(str(tmp_path), "ingest", wait_s=30):
            order.append(f"{name} begins")
            time.sleep(0.02)
            order.append(f"{name} ends")

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(order) == 16
    for begins, ends in zip(order[::2], order[1::2], strict=True):
        assert begins.removesuffix(" begins") == ends.removesuffix(" ends")


def left_behind(warehouse: Path, jvm: int) -> Path:
    """The file of a killed run."""
    place = warehouse / "_running" / "x.json"
    place.parent.mkdir()
    host = os.uname().nodename
    place.write_text(f'{{"work": "x", "host": "{host}", "process": 1, "jvm": {jvm}, "started": ""}}')
    return place


def java(folder: Path, seconds: str) -> subprocess.Popen[bytes]:
    """A process that counts as Java, for so long."""
    (folder / "java").symlink_to("/bin/sleep")
    process = subprocess.Popen([str(folder / "java"), seconds])
    while not Path(f"/proc/{process.pid}/cmdline").read_bytes():  # it has none for a moment
        time.sleep(0.001)
    return process


def test_the_jvm_of_a_killed_run_is_waited_for(tmp_path: Path) -> None:
    jvm = java(tmp_path, "0.6")
    left_behind(tmp_path, jvm.pid)
    threading.Thread(target=jvm.wait).start()
    started = time.monotonic()
    with claimed(str(tmp_path), "x"):
        assert time.monotonic() - started > 0.3


def test_what_a_killed_run_left_goes_with_another_claim(tmp_path: Path) -> None:
    """But the file of one that is at work stays, and of one whose JVM may still write."""
    holder = held(tmp_path)
    try:
        with java(tmp_path, "60") as jvm:
            for work, process in (("filter-default", jvm.pid), ("learn", 0)):
                claim = claims.Claim(work, os.uname().nodename, 1, process, "")
                (tmp_path / "_running" / f"{work}.json").write_text(json.dumps(asdict(claim)))
            with claimed(str(tmp_path), "ingest"):
                pass
            left = sorted(path.stem for path in (tmp_path / "_running").iterdir())
            jvm.kill()
        assert left == ["describe", "filter-default"]
    finally:
        holder.kill()
        holder.wait()
    with claimed(str(tmp_path), "ingest"):
        pass
    assert not (tmp_path / "_running").exists()


def test_the_claim_of_a_commit_is_not_told_of(tmp_path: Path) -> None:
    with claimed(str(tmp_path), "ingest"), claimed(str(tmp_path), "runs"):
        assert [claim.work for claim in running(str(tmp_path))] == ["ingest"]
        with (
            pytest.raises(WarehouseError, match=r"another run is at this \(runs, since"),
            claimed(str(tmp_path), "runs"),
        ):
            pass


def test_a_jvm_that_does_not_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_JVM_ENDS_S", 0.2)
    with java(tmp_path, "60") as jvm:
        place = left_behind(tmp_path, jvm.pid)
        try:
            for _ in range(2):  # the refused run leaves the file for the next
                with (
                    pytest.raises(WarehouseError, match=rf"kill {jvm.pid}.* remove {place}"),
                    claimed(str(tmp_path), "x"),
                ):
                    pass
        finally:
            jvm.kill()
        os.waitid(os.P_PID, jvm.pid, os.WEXITED | os.WNOWAIT)  # ended, and nobody has asked for it: not waited for
        with claimed(str(tmp_path), "x"):
            assert running(str(tmp_path))[0].process == os.getpid()


def test_a_jvm_that_ends_while_it_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(path: Path) -> bytes:
        raise ProcessLookupError(3, "No such process")

    left_behind(tmp_path, os.getpid())
    monkeypatch.setattr(Path, "read_bytes", gone)
    monkeypatch.setattr(Path, "read_text", gone)
    with claimed(str(tmp_path), "x"):
        pass


def as_another_user(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    """The file that lies there now may be read only."""
    real, theirs = os.open, place.stat().st_ino

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR and place.exists() and place.stat().st_ino == theirs:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)


def test_the_claim_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = held(tmp_path)
    place = tmp_path / "_running" / "describe.json"
    try:
        as_another_user(monkeypatch, place)
        assert [claim.process for claim in running(str(tmp_path))] == [holder.pid]
        with pytest.raises(WarehouseError, match=f"another run is at this .* process {holder.pid}"):  # noqa: SIM117
            with claimed(str(tmp_path), "describe"):
                pass
    finally:
        holder.kill()
        holder.wait()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", MagicMock(side_effect=PermissionError(13, "Permission denied")))
        with pytest.raises(WarehouseError, match=f"{place} is left from another user's run"):  # noqa: SIM117
            with claimed(str(tmp_path), "describe"):
                pass
    with claimed(str(tmp_path), "describe"):
        assert [claim.process for claim in running(str(tmp_path))] == [os.getpid()]


def test_a_claim_that_may_not_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refuse(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    with (
        pytest.raises(WarehouseError, match=f"{tmp_path}/_running/x.json cannot be written"),
        claimed(str(tmp_path), "x"),
    ):
        pass


@pytest.mark.parametrize("error", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", MagicMock(side_effect=OSError(error, os.strerror(error))))
    left_behind(tmp_path, 0)
    assert running(str(tmp_path)) == []
    for _ in range(2):
        with claimed(str(tmp_path), "x"), claimed(str(tmp_path), "x"):
            pass
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [f"{tmp_path} has no file locks"]
    assert list(tmp_path.iterdir()) == []
