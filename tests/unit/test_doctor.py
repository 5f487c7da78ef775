"""Every check of `avlib doctor` that needs no Spark, passing and failing; what fails says how to mend it."""

from __future__ import annotations

import errno
import fcntl
import json
import runpy
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pyspark
import pytest
import torch
from pyarrow import fs
from pyspark.errors import PySparkException

from avlib.cli import main
from avlib.commands import doctor as doctor_command
from avlib.config import CONF_FOLDER, Settings, load_settings
from avlib.doctor import machine, packages, space
from avlib.doctor.finding import Finding, findings_as_text
from avlib.doctor.machine import check_gpus, check_space, check_warehouse, check_weights
from avlib.doctor.packages import check_packages, requirements
from avlib.errors import ConfigError, WarehouseError
from avlib.spark import doctor
from avlib.spark.doctor import (
    Report,
    check_executors,
    check_executors_gpus,
    check_executors_space,
    check_spark,
    check_tables,
    check_versions,
    worker_problem,
)
from avlib.spark.session import java_problem


def settings(*assignments: str) -> Settings:
    return load_settings(assignments=["describe.visual_model=hog_color", *assignments])


def test_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = requirements()
    assert asked["pyspark"] == "4.1.1" and "pytest" not in asked
    assert check_packages().ok
    monkeypatch.setattr(packages, "requirements", lambda: {"numpy": "99.1", "no-such-package": "1", "pyspark": "4.1"})
    finding = check_packages()
    assert finding.found.endswith(f"without no-such-package; too old: numpy {metadata.version('numpy')}")
    assert finding.mend is not None and finding.mend.startswith(f"{sys.executable} -m pip install -c conf/constraints")
    monkeypatch.setattr(packages, "LOWEST_PYTHON", (4, 0))
    assert "-m venv" in str(check_packages().mend)


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [("2.9.1", "2.10", True), ("2.10", "2.9.1", False), ("2.15.0+cu132", "2.15", False), ("4.1.1", "4.1.1", False)],
)
def test_versions_are_compared_by_their_numbers(version: str, than: str, expected: bool) -> None:
    assert packages._older(version, than) == expected


def test_what_an_installed_wheel_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ["numpy>=2.4", "pyspark<4.2,>=4.1.1", "plain", "pytest>=9; extra == 'dev'"]
    monkeypatch.setattr(metadata, "requires", lambda name: listed)
    assert requirements() == {"numpy": "2.4", "pyspark": "4.1.1", "plain": "0"}


def test_weights(tmp_path: Path) -> None:
    assert check_weights(settings().describe).ok
    missing = [f"describe.visual_weights={tmp_path}/none.pth", "describe.visual_model=mobilenet_v2"]
    finding = check_weights(settings(*missing).describe)
    assert "there is no such file" in finding.found and "--set describe.visual_weights=FILE.pth" in str(finding.mend)


def test_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    def machine_with(smi: str | None, seen: int) -> None:
        monkeypatch.setattr(machine.shutil, "which", lambda name: smi)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: seen > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: seen)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "a GPU")

    machine_with(None, 0)
    assert check_gpus(settings().describe).ok
    assert check_gpus(settings("describe.device=cpu").describe).ok
    assert "--set describe.device=cpu" in str(check_gpus(settings("describe.device=cuda").describe).mend)
    machine_with("/usr/bin/nvidia-smi", 0)
    assert not check_gpus(settings().describe).ok
    machine_with("/usr/bin/nvidia-smi", 2)
    assert "sees 2: a GPU" in check_gpus(settings().describe).found


def test_warehouse(tmp_path: Path) -> None:
    there, new = tmp_path / "there", tmp_path / "a" / "new one"
    there.mkdir()
    assert check_warehouse(str(there)).ok and check_warehouse(str(new)).ok
    assert list(there.iterdir()) == [] and not new.exists()
    (tmp_path / "file").write_text("no folder")
    finding = check_warehouse(f"{tmp_path}/file")
    assert "no file can be written" in finding.found and str(finding.mend).startswith(f"mkdir -p {tmp_path}/file &&")
    assert "--warehouse" in str(check_warehouse("what*").mend)
    assert "AWS_" in str(check_warehouse("nosuch://bucket/w").mend)


def test_a_warehouse_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not locked" not in check_warehouse(str(tmp_path)).found
    monkeypatch.setattr(fcntl, "flock", MagicMock(side_effect=OSError(errno.ENOSYS, "Function not implemented")))
    finding = check_warehouse(str(tmp_path))
    assert finding.ok and finding.found.endswith(
        "not locked: nobody checks who else is at work; run one driver at a time there"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("refuses", ["move", "delete_file", "open_input_file"])
def test_a_warehouse_that_refuses_one_thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: str) -> None:
    real = fs.LocalFileSystem()

    def refuse(*arguments: object) -> None:
        raise PermissionError(13, f"no {refuses}")

    names = [
        "get_file_info",
        "create_dir",
        "open_output_stream",
        "open_input_file",
        "move",
        "delete_file",
        "delete_dir",
    ]
    system = SimpleNamespace(**{name: getattr(real, name) for name in names} | {refuses: refuse})
    monkeypatch.setattr(machine, "filesystem", lambda uri: (system, uri))
    finding = check_warehouse(str(tmp_path))
    assert not finding.ok and f"no {refuses}" in finding.found


def test_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = {"tmp": 9e9, "warehouse": 9e9}
    monkeypatch.setattr(machine, "free_bytes", lambda place: rooms["warehouse" if "W" in str(place) else "tmp"])
    monkeypatch.setattr(space.tempfile, "gettempdir", lambda: "/t")
    monkeypatch.delenv("SPARK_LOCAL_DIRS", raising=False)
    monkeypatch.delenv("LOCAL_DIRS", raising=False)
    assert check_space(None).ok and check_space("/W").ok and check_space("s3://bucket/W").ok
    rooms["warehouse"] = 1e9
    finding = check_space("/W")
    assert finding.found == "/t has 9.0 GB free, /W has 1.0 GB free" and "--warehouse" in str(finding.mend)
    rooms["tmp"] = 1e9
    assert "export TMPDIR=" in str(check_space("/W").mend)
    rooms["tmp"] = 9e9
    monkeypatch.setenv("SPARK_LOCAL_DIRS", "/spark,/t,/Wide")  # as a task is told the folders of its executor
    finding = check_space(None)
    assert finding.found == "/t has 9.0 GB free, /spark has 9.0 GB free, /Wide has 1.0 GB free"
    assert "export SPARK_LOCAL_DIRS=" in str(finding.mend)


def test_the_folder_with_least_room_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", "/spark")
    monkeypatch.setattr(doctor, "free_bytes", lambda place: 10**9 if place == Path("/spark") else 10**10)
    here = Report.here("cpu")
    assert (here.temporary, here.free_bytes) == ("/spark", 10**9)


def test_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert java_problem() is None
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    (finding,) = check_spark(settings(), None)
    assert "has no bin/java" in finding.found and "apt-get install openjdk-17" in str(finding.mend)


def test_spark_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(of: object) -> None:
        raise ConfigError("Spark did not start")

    monkeypatch.setattr(doctor, "get_session", fail)
    (finding,) = check_spark(settings(), None)
    assert finding.check == "Spark" and "conf/spark-cluster.conf" in str(finding.mend)


@pytest.mark.parametrize(
    ("version", "delta", "expected"),
    [
        (pyspark.__version__, metadata.version("delta-spark"), None),
        ("4.0.0", metadata.version("delta-spark"), f"the spark-submit of Spark {pyspark.__version__}"),
        (pyspark.__version__, "4.0.0", "--packages io.delta:delta-spark"),
    ],
)
def test_versions_of_spark_and_delta(version: str, delta: str, expected: str | None) -> None:
    jvm = SimpleNamespace(
        System=SimpleNamespace(getProperty=lambda name: "17.0.1"),
        io=SimpleNamespace(delta=SimpleNamespace(package=SimpleNamespace(VERSION=lambda: delta))),
    )
    session = SimpleNamespace(version=version, sparkContext=SimpleNamespace(master="yarn"), _jvm=jvm)
    finding = check_versions(session)  # type: ignore[arg-type]
    assert finding.found.startswith(f"{version} at yarn, Java 17.0.1")
    assert finding.ok if expected is None else expected in str(finding.mend)


def test_tables_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(spark: object, warehouse: str) -> None:
        raise PySparkException("no rights\nat org.apache.spark")

    monkeypatch.setattr(doctor, "TableStore", refuse)
    session = SimpleNamespace(sparkContext=SimpleNamespace(defaultParallelism=2))
    finding = check_tables(session, "/shared/W")  # type: ignore[arg-type]
    assert "no table can be written in /shared/W: no rights" in finding.found
    assert str(finding.mend).startswith("mount /shared/W on every node")
    assert "hadoop-aws" in str(check_tables(session, "s3://bucket/W").mend)  # type: ignore[arg-type]


def test_tables_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "TableStore", MagicMock(side_effect=WarehouseError("/W has schema version 2")))
    finding = check_tables(MagicMock(), "/W")
    assert finding.found == "/W has schema version 2" and "--warehouse" in str(finding.mend)


@pytest.mark.parametrize(("seen", "there", "ok"), [(200, True, True), (7, True, False), (200, False, False)])
def test_tables_that_not_all_see(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seen: int, there: bool, ok: bool
) -> None:
    folder = tmp_path / "W" / "doctor-1"

    class Store:
        def __init__(self, spark: object, warehouse: str) -> None:
            self.warehouse = warehouse

        @contextmanager
        def claim(self, work: str, *, wait_s: float) -> Iterator[None]:
            self.claimed = work
            yield
            self.claimed = ""

        @contextmanager
        def scratch(self, purpose: str) -> Iterator[str]:
            assert self.claimed == "doctor"  # by whose next holder leftovers are removed
            folder.mkdir(parents=True)
            (folder / "part.parquet").touch() if there else None
            yield str(folder)
            shutil.rmtree(folder)

    monkeypatch.setattr(doctor, "TableStore", Store)
    session = MagicMock()
    session.sparkContext.defaultParallelism = 2
    session.read.format().load().count.return_value = seen
    finding = check_tables(session, str(tmp_path / "W"))
    assert finding.ok == ok and not (tmp_path / "W").exists()
    assert ok or "do not see the same files" in finding.found


DRIVER = Report("here/1", "3.11.7", "0.1", {"numpy": "2.4.1"}, [], "/tmp", 9_000_000_000, [], "cpu")


def report(**values: object) -> Report:
    return Report(**{**vars(DRIVER), "executor": "node7/5", **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "found", "mend"),
    [
        ({"python": "3.12.1"}, "node7 has Python 3.12.1, not 3.11.7", "--archives dist/avlib-environment.tar.gz"),
        ({"avlib": "0.2"}, "node7 has avlib 0.2, not 0.1", "make pack"),
        ({"packages": {}}, "node7 has numpy not at all, not 2.4.1", "make pack"),
        ({"unset": ["OMP_NUM_THREADS"]}, "not set in their workers: OMP_NUM_THREADS", "conf/spark-cluster.conf"),
    ],
)
def test_executors_unlike_the_driver(values: dict[str, object], found: str, mend: str) -> None:
    assert check_executors([report(), report(executor="node8/1")], DRIVER).found.startswith("2 answered (node7, node8)")
    finding = check_executors([report(), report(**values)], DRIVER)
    assert finding.found.endswith(found) and mend in str(finding.mend)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Error from python worker:\n  (ModuleNotFoundError: No module named 'avlib')",
            "No module named 'avlib'",
        ),
        ('Caused by: java.io.IOException: Cannot run program "e/bin/python": error=2\n', 'Cannot run program "e/bin'),
        ("a\nRuntimeError: [PYTHON_VERSION_MISMATCH] 3.12 and 3.11.\nb", "[PYTHON_VERSION_MISMATCH] 3.12 and 3.11."),
        ("java.lang.X: something else", "java.lang.X: something else"),
    ],
)
def test_why_no_worker_came_up(text: str, expected: str) -> None:
    assert worker_problem(RuntimeError(text)).startswith(expected)


def test_executors_without_room() -> None:
    assert check_executors_space([report()]).ok
    finding = check_executors_space([report(), report(free_bytes=10**9)])
    assert "1.0 GB free" in finding.found and "spark.executorEnv.TMPDIR" in str(finding.mend)


def test_executors_gpus() -> None:
    given = [report(gpus=[address], device=f"cuda:{address}") for address in "01"]
    found = "given by Spark: 0 of node7, 1 of node7; pictures would go to cuda:0, cuda:1"
    assert check_executors_gpus(given).found == found
    assert check_executors_gpus([report()]).ok
    idle = check_executors_gpus([report(gpus=["1"])])
    assert idle.found == "given by Spark: 1 of node7; torch cannot use GPU 1 of node7"
    assert "nvidia-smi" in str(idle.mend)
    refused = check_executors_gpus([report(device="describe.device = cuda: torch sees none")])
    assert refused.found.startswith("describe.device = cuda") and "README, GPUs" in str(refused.mend)


@pytest.mark.parametrize("submitted", [False, True])
def test_the_gpus_of_a_driver_that_was_submitted_do_not_count(monkeypatch: pytest.MonkeyPatch, submitted: bool) -> None:
    monkeypatch.setattr(doctor, "check_spark", lambda settings, warehouse: [])
    if submitted:
        monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    else:
        monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    checks = [finding.check for finding in doctor_command._check_all(settings(), None)]
    assert checks == ["weights", "disk"] if submitted else ["weights", "GPU", "disk"]


def test_a_package_that_does_not_list_its_files_is_not_packed() -> None:
    files_of = runpy.run_path(str(CONF_FOLDER.parent / ".ci" / "pack.py"))["files_of"]
    with pytest.raises(SystemExit, match="pack: some-package"):
        list(files_of(SimpleNamespace(name="some-package", files=None)))


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    findings = [Finding("Python", "fine")]
    monkeypatch.setattr(doctor_command, "check_packages", lambda: findings[0])
    monkeypatch.setattr(doctor_command, "_check_all", lambda settings, warehouse: findings[1:])
    for code in (0, 2):
        with pytest.raises(SystemExit) as exit_:
            main(["doctor", *(["--json"] if as_json else [])])
        assert (exit_.value.code or 0) == code
        printed = capsys.readouterr().out
        if as_json:
            assert json.loads(printed) == [finding.as_json() for finding in findings]
        else:
            assert printed.strip() == findings_as_text(findings)
            assert ("→ mend it" in printed) == (code == 2)
        findings = [findings[0], Finding("disk", "full", "mend it")]


def test_without_packages_the_others_are_not_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_command, "check_packages", lambda: Finding("Python", "no av", "pip install av"))
    with pytest.raises(SystemExit):
        main(["doctor"])
    assert "1 of 1 checks failed" in capsys.readouterr().out
