"""The demo, made once for all tests that look at it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Demo:
    """command: the installed `avlib`.  out: what `avlib demo` made.  ran: how it went."""

    command: str
    out: Path
    ran: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`avlib demo` as a new user runs it: the installed command, a process of its own. Nothing may write into it."""
    command = shutil.which("avlib", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("avlib is not installed beside this Python; `make test` installs it")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    out, said = shared / "demo", shared / "demo.json"
    with (shared / "demo.lock").open("w") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)  # the first worker that asks makes it for all
        if not said.exists():
            ran = subprocess.run([command, "demo", "--out", str(out)], capture_output=True, text=True, check=False)
            said.write_text(json.dumps([ran.returncode, ran.stdout, ran.stderr]))
    ran = subprocess.CompletedProcess([command, "demo", "--out", str(out)], *json.loads(said.read_text()))
    assert ran.returncode == 0, ran.stderr[-2000:]
    return Demo(command, out, ran)
