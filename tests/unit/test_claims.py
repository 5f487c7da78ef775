"""One run at a time: others are refused by name, or wait; a run that was killed blocks nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

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


def test_the_jvm_of_a_killed_run_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "java").symlink_to("/bin/sleep")
    jvm = subprocess.Popen([str(tmp_path / "java"), "0.6"])
    left = f'{{"work": "x", "host": "{os.uname().nodename}", "process": 1, "jvm": {jvm.pid}, "started": ""}}'
    (tmp_path / "_running").mkdir()
    (tmp_path / "_running" / "x.json").write_text(left)
    threading.Thread(target=jvm.wait).start()
    started = time.monotonic()
    with claimed(str(tmp_path), "x"):
        assert time.monotonic() - started > 0.3
