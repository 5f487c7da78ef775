"""`avlib demo` as a new user runs it: the installed command, a process of its own, the real collection it makes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest

from avlib.demo import FLAWED
from notebooks.execute import NOTEBOOKS, outputs, run, small
from tests.pipeline.test_notebooks import MOST_BYTES

if TYPE_CHECKING:
    from tests.pipeline.conftest import Demo

pytestmark = [pytest.mark.spark, pytest.mark.pipeline]


def test_the_demo_ends_in_a_report(demo: Demo) -> None:
    out, ran = demo.out, demo.ran
    printed = re.search(r"clean +(\d+)% of all samples, (\d+)% of those kept", ran.stdout)
    assert printed is not None, ran.stdout
    before, after = int(printed[1]), int(printed[2])
    assert 50 <= before <= 75  # the labels: about 60 % of the time is clean
    assert after > before
    assert "hog_color: classical, no network" in ran.stdout
    assert "38 videos = 36 ok, 1 no_audio, 1 failed" in ran.stderr
    assert len(list(out.glob("videos/*"))) == 38
    assert len({path.suffix for path in out.glob("videos/*")}) >= 3
    assert len(list(out.glob("suggestions/*.wav"))) == 24 * 5

    report = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", report)  # self-contained
    assert len(report) < 8_000_000

    again = subprocess.run([demo.command, "demo", "--out", str(Path(__file__).parent)], capture_output=True, text=True)
    assert again.returncode == 2  # a folder of somebody else's
    assert again.stderr.strip().splitlines()[-1].startswith("avlib: ")
    assert "Traceback" not in again.stderr


def test_failures_tell_of_the_two_that_give_nothing(demo: Demo) -> None:
    told = [demo.command, "failures", "--warehouse", str(demo.out / "warehouse")]
    found = dict(line.split(None, 1) for line in subprocess.check_output(told, text=True).splitlines())
    assert sorted(found) == ["failed", "no_audio"]
    assert FLAWED[0] in found["failed"] and FLAWED[1] in found["no_audio"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, demo: Demo, tmp_path: Path) -> None:
    for beside in demo.out.iterdir():
        (tmp_path / beside.name).symlink_to(beside)
    (tmp_path / "warehouse").unlink()
    shutil.copytree(demo.out / "warehouse", tmp_path / "warehouse")  # others look at the demo's meanwhile
    ran = run(path, warehouse=tmp_path / "warehouse")  # a cell that fails is shown by its error
    assert sorted(path.name for path in tmp_path.glob("warehouse/filters/*")) == ["default"]
    bundles = [output["data"] for output in outputs(ran) if "data" in output]
    assert any("text/html" in bundle for bundle in bundles)
    assert len(nbformat.writes(small(ran))) < MOST_BYTES
    assert not any(str(folder) in nbformat.writes(ran) for folder in (demo.out, tmp_path))
