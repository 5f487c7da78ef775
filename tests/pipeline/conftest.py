"""The demo, made once for all tests that look at it."""

from __future__ import annotations

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
    """`avlib demo` as a new user runs it: the installed command, a process of its own."""
    command = shutil.which("avlib", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("avlib is not installed beside this Python; `make test` installs it")
    out = tmp_path_factory.mktemp("demo") / "demo"
    ran = subprocess.run([command, "demo", "--out", str(out)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return Demo(command, out, ran)
