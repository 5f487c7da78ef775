"""`avlib demo` as a new user runs it: the installed command, a process of its own, the real collection it makes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.spark, pytest.mark.pipeline]


def test_the_demo_ends_in_a_report(tmp_path: Path) -> None:
    command = shutil.which("avlib", path=str(Path(sys.executable).parent))
    if command is None:
        pytest.skip("avlib is not installed beside this Python; `make test` installs it")
    out = tmp_path / "demo"
    ran = subprocess.run([command, "demo", "--out", str(out)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]

    printed = re.search(r"clean +(\d+)% of all samples, (\d+)% of those kept", ran.stdout)
    assert printed is not None, ran.stdout
    before, after = int(printed[1]), int(printed[2])
    assert 50 <= before <= 75  # the labels: about 60 % of the time is clean
    assert after > before
    assert "hog_color: classical, no network" in ran.stdout
    assert "36 videos = 36 ok" in ran.stderr
    assert len(list(out.glob("videos/*"))) == 36
    assert len({path.suffix for path in out.glob("videos/*")}) >= 3
    assert len(list(out.glob("suggestions/*.wav"))) == 24 * 5

    report = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", report)  # self-contained
    assert len(report) < 8_000_000

    again = subprocess.run([command, "demo", "--out", str(Path(__file__).parent)], capture_output=True, text=True)
    assert again.returncode == 2  # a folder of somebody else's
    assert again.stderr.strip().splitlines()[-1].startswith("avlib: ")
    assert "Traceback" not in again.stderr
