"""Which device a task describes on, by the GPU addresses Spark gives it; no GPU is needed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch
from pyspark import TaskContext
from pyspark.resource import ResourceInformation

from avlib.config import CONF_FOLDER, load_settings
from avlib.errors import ConfigError
from avlib.models import StoredModel, described_with
from avlib.spark import resources
from avlib.spark.resources import task_device


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """A task with these addresses, on a machine of which torch sees so many GPUs."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    resources._say_once.cache_clear()
    ones = torch.ones

    def given(addresses: list[str] | None, *, seen: int, usable: bool = True) -> None:
        def made(count: int, *, device: str) -> torch.Tensor:
            if not usable:
                raise RuntimeError("CUDA error: no kernel image is available for execution\nand more")
            return ones(count)

        monkeypatch.setattr(torch, "ones", made)
        monkeypatch.setattr(TaskContext, "_taskContext", None)  # put back at the end: a new one enters itself there
        context = TaskContext()
        context._resources = {} if addresses is None else {"gpu": ResourceInformation("gpu", addresses)}
        monkeypatch.setattr(TaskContext, "_taskContext", context)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: seen > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)

    return given


@pytest.mark.parametrize("choice", ["auto", "cuda"])
def test_two_addresses_are_two_devices(machine, choice: str) -> None:
    devices = []
    for address in ("0", "1"):
        machine([address], seen=2)
        devices.append(task_device(choice))
    assert devices == ["cuda:0", "cuda:1"]
    assert task_device("cpu") == "cpu"


def test_the_first_of_several_addresses(machine) -> None:
    machine(["1", "0"], seen=2)
    assert task_device("auto") == "cuda:1"


def test_addresses_among_the_visible_devices(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(["3"], seen=2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3")
    assert task_device("auto") == "cuda:1"
    machine(["GPU-8f2c"], seen=2)
    with pytest.raises(ConfigError, match=r"'GPU-8f2c', which is no number"):
        task_device("auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f2c")
    assert task_device("auto") == "cuda:0"


def test_without_a_gpu_of_its_own_a_task_uses_the_cpu_unless_told(machine) -> None:
    machine(None, seen=2)
    assert task_device("auto") == "cpu"
    assert task_device("cuda") == "cuda:0"
    machine(None, seen=0)
    assert task_device("auto") == "cpu"
    with pytest.raises(ConfigError, match=r"describe\.device = cuda: torch cannot use a GPU: it sees 0"):
        task_device("cuda")


def test_outside_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TaskContext, "_taskContext", None)
    assert task_device("auto") == "cpu"


@pytest.mark.parametrize("seen", [0, 1])
def test_a_gpu_that_torch_cannot_use(machine, monkeypatch: pytest.MonkeyPatch, seen: int) -> None:
    said: list[str] = []
    monkeypatch.setattr(resources, "say", said.append)
    machine(["1"], seen=seen)
    assert [task_device("auto") for _ in range(3)] == ["cpu"] * 3
    (line,) = said
    assert f"GPU 1, given by Spark: it sees {seen} CUDA devices" in line
    with pytest.raises(ConfigError, match="GPU 1, given by Spark"):
        task_device("cuda")


def test_a_gpu_that_torch_sees_and_cannot_compute_on(machine, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(resources, "say", said.append)
    machine(["0"], seen=1, usable=False)
    assert [task_device("auto") for _ in range(3)] == ["cpu"] * 3
    (line,) = said
    assert line.endswith("no kernel image is available for execution; this worker computes on the CPU")
    with pytest.raises(ConfigError, match="GPU 0, given by Spark: CUDA error"):
        task_device("cuda")


def test_the_device_does_not_decide_what_a_description_holds() -> None:
    model = StoredModel("hog_color", None, "0" * 64, 224)
    hashes = {
        described_with(load_settings(assignments=[f"describe.device={device}"]).describe, model)
        for device in ("auto", "cpu", "cuda")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(("listed", "addresses"), [("0\n1\n", ["0", "1"]), (" 7 \n", ["7"])])
def test_the_discovery_script(tmp_path: Path, listed: str, addresses: list[str]) -> None:
    def discovered(text: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\nprintf '{text}'\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        command = [str(CONF_FOLDER / "gpu-discovery.sh")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    found = discovered(listed.replace("\n", "\\n"))
    assert json.loads(found.stdout) == {"name": "gpu", "addresses": addresses}
    none = discovered("No devices were found\\n")
    assert none.returncode != 0 and "no GPU" in none.stderr
