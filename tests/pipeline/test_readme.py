"""README and docs/ hold: what they tell their readers to type is run, from top to bottom, on what the demo made.

Later commands may need what earlier ones have made. tests/unit/test_readme.py parses all of them.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from shutil import copy, copytree
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from pyspark.sql import SparkSession
from readme import BLOCKS, ROOT, Block, whole

from avlib.cli import main
from avlib.planning import calibrate
from avlib.planning.calibrate import Sizes, calibrate_apart

if TYPE_CHECKING:
    from tests.pipeline.conftest import Demo

pytestmark = [pytest.mark.spark, pytest.mark.pipeline]

COMMANDS = list({" ".join(words): words for block in BLOCKS for words in block.commands()}.values())

HERE = {
    "/data/gone": "{demo}/videos/v3?.*",
    "/data/old.mp4": "{demo}/videos/v00.mp4",
    "/data/": "data/",
}
"""What a page names → what there is. All else that it names lies in the reader's folder, under that name."""

SMALLER = {
    "avlib pipeline": "--set describe.frame_stride=5 --set components.min_size=2",
    "avlib describe": "--set describe.frame_stride=5",
    "avlib evaluate corruption": "--ratios 0:0.6:0.6 --seeds 1 --strategies unfiltered,A+V --set evaluate.folds=2",
    "avlib evaluate size": "--shares 0.5:1:0.5 --ratios 0.3 --seeds 1 --strategies A+V --set evaluate.folds=2",
    "avlib evaluate listening-sheet": "--each 1",
    "avlib learn": "--set learn.steps=3 --set learn.pairs=4 --set learn.channels=[4,6,8]",
}
"""What would take minutes → options that come after its own."""

SIZES = Sizes(queries=64, samples=1024, dims=8, clip_s=1.0, pictures=2, edges=1000, file_bytes=10_000, rounds=1)
"""`avlib plan --calibrate` takes no such options."""

LONG = (
    "avlib pipeline …",
    "avlib filter --name",
    "avlib filter --warehouse W --name",
    "avlib filter --warehouse W --set",
    "avlib filter --warehouse W --strategy agreement --keep",
    "avlib filter --warehouse W --strategy V+A",
    "avlib learn",
)
"""Only in `make test-long`: others here run the same stages, `learn` but for tests/spark/test_learn.py."""

ELSEWHERE = {
    "make demo": "pipeline/conftest.py: def demo",
    "make docs": "unit/test_reference.py: def test_the_reference_is_whole",
    "make pack": "faults/test_cluster_packed.py: def test_a_packed_environment",
    "python notebooks/execute.py": "pipeline/test_demo_command.py: def test_a_notebook_runs",
    "spark-submit": "faults/test_cluster.py: def test_the_doctor_finds_nothing_to_mend",
}
"""What is not run here → what runs the same elsewhere."""

NOWHERE = {
    "make setup": "`make test` does it before the tests",
    "make lint": "`make test` does it before the tests",
    "make test": "CI runs it",
    "make test-long": "takes hours",
    "make benchmarks": "takes hours",
    "make clean": "removes the environment that the tests run in",
    "make clean-cache": "removes that of other clones",
    "pip install": "wants a network; the set-up installs the same",
}
"""What no test runs → why."""


def listed(words: list[str], beginnings: Iterable[str]) -> list[str]:
    """Those that a command begins with."""
    return [one for one in beginnings if words[: len(one.split())] == one.split()]


def test_what_is_not_run_is_listed() -> None:
    others = [words for words in COMMANDS if words[0] not in ("avlib", "cat")]
    assert [words for words in others if len(listed(words, [*ELSEWHERE, *NOWHERE])) != 1] == []
    for table in (SMALLER, LONG, ELSEWHERE, NOWHERE):
        assert {one for words in COMMANDS for one in listed(words, table)} == set(table)
    for place in ELSEWHERE.values():
        path, _, function = place.partition(": ")
        assert f"{function}(" in (ROOT / "tests" / path).read_text(), place


@pytest.fixture(scope="module")
def reader(demo: Demo, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of somebody who reads the pages, with all that they name."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "conf").symlink_to(ROOT / "conf")
    copytree(demo.out / "warehouse", folder / "W")
    (folder / "data" / "videos").mkdir(parents=True)
    for video in sorted(demo.out.glob("videos/*"))[:6]:
        copy(video, folder / "data" / "videos")
    copy(min(demo.out.glob("suggestions/*.wav")), folder / "bark.wav")
    Image.open(min(demo.out.glob("queries/*/*.png"))).convert("RGB").save(folder / "picture.jpg")
    copy(demo.out / "labels.csv", folder)
    (folder / "films.csv").write_text("uri\n1.mp4\n2.mp4\n")
    (folder / "anna.csv").write_text("item,rating\n1,5\n2,1\n3,4\n")
    (folder / "ben.csv").write_text("item,rating\n1,4\n2,2\n")
    (mine,) = [block for block in BLOCKS if block.language == "toml"]
    (folder / "mine.toml").write_text(mine.text)
    save_arbitrary_weights(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TORCH_HOME", str(folder / "torch"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(calibrate, "calibrate_apart", partial(calibrate_apart, sizes=SIZES))
        yield folder


def save_arbitrary_weights(folder: Path) -> None:
    """mobilenet_v2's, and mobilenet_v3_small's where torch would keep them after the download."""
    import torch
    from torchvision import models

    torch.save(models.mobilenet_v2().state_dict(), folder / "mobilenet_v2.pth")
    url = models.MobileNet_V3_Small_Weights.DEFAULT.url
    downloaded = folder / "torch" / "hub" / "checkpoints" / url.rpartition("/")[2]
    downloaded.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(models.mobilenet_v3_small().state_dict(), downloaded)


def here(text: str, demo: Demo) -> str:
    """With what there is in place of what is named."""
    for named, there in HERE.items():
        text = text.replace(named, there.format(demo=demo.out))
    return text


def ordinary_or_long(words: list[str]) -> object:
    return pytest.param(words, id=" ".join(words), marks=[pytest.mark.long] if listed(words, LONG) else [])


@pytest.mark.parametrize("words", [ordinary_or_long(words) for words in COMMANDS if words[0] == "avlib"])
def test_a_command_runs(words: list[str], reader: Path, demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse = "again" if "…" in words else "/data/warehouse"
    arguments = [here(word, demo) for word in whole(words, inputs="/data/videos", warehouse=warehouse)[1:]]
    arguments += [option for one in listed(words, SMALLER) for option in SMALLER[one].split()]
    if arguments[0] == "serve":
        serve([demo.command, *arguments])
        return
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert not ended.value.code, said.err
    if arguments[0] == "plan" and "--videos" in arguments:
        shown = next(block.text for block in BLOCKS if block.text.startswith("750,000,000 samples"))
        assert shown.partition("FLOPs")[0].rstrip() in said.out
    if arguments[0] == "forget":
        assert "\n7 videos, " in said.out and "nothing is done yet" in said.out


def serve(command: list[str]) -> None:
    """The page answers once, then Ctrl-C ends it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[0]
            with urllib.request.urlopen(f"{address}api/collection", timeout=60) as answer:
                assert json.load(answer)["samples"] > 0
        finally:
            server.send_signal(signal.SIGINT)
    assert server.returncode == 0


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_a_snippet_runs(block: Block, reader: Path, demo: Demo) -> None:
    exec(compile(here(block.text, demo), str(block), "exec"), {})


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] == "cat"], ids=" ".join)
def test_files_are_joined(words: list[str], reader: Path) -> None:
    subprocess.run(" ".join(words), shell=True, check=True)
    *sources, _, joined = words[1:]
    assert (reader / joined).read_text() == "".join((ROOT / source).read_text() for source in sources)
