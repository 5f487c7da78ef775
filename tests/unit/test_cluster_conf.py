"""The settings for clusters say the same as embedded Spark's, and overlays say nothing twice."""

from __future__ import annotations

import os
import re
from importlib import metadata
from pathlib import Path

import pytest

from avlib.config import CONF_FOLDER, load_settings
from avlib.spark.delta_jars import DELTA_PACKAGE
from avlib.worker_environment import WORKER_ENVIRONMENT

OVERLAYS = {
    "gpu-standalone": ["spark-cluster"],
    "spark-yarn": ["spark-cluster"],
    "gpu-yarn": ["spark-cluster", "spark-yarn"],
    "spark-kubernetes": ["spark-cluster"],
    "gpu-kubernetes": ["spark-cluster", "spark-kubernetes"],
}

CORES = 8  # of an executor, as the files say
WORKER_MB = 1250  # with mobilenet_v3_small, as docs/measured.md says


def properties(name: str) -> dict[str, str]:
    lines = (CONF_FOLDER / f"{name}.conf").read_text().splitlines()
    found = [line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#")]
    values = {key: rest[0] if rest else "" for key, *rest in found}
    assert len(values) == len(found)
    return values


def test_workers_get_the_environment_they_get_locally() -> None:
    cluster = properties("spark-cluster")
    prefix = "spark.executorEnv."
    assert {key.removeprefix(prefix): cluster[key] for key in cluster if key.startswith(prefix)} == WORKER_ENVIRONMENT
    assert cluster["spark.jars.packages"] == DELTA_PACKAGE


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_repeats_nothing(overlay: str) -> None:
    below: dict[str, str] = {}
    for name in OVERLAYS[overlay]:
        below |= properties(name)
    values = properties(overlay)
    assert values
    assert all(key.startswith("spark.") for key in values)
    assert [key for key, value in values.items() if below.get(key) == value] == []


@pytest.mark.parametrize("overlay", ["spark-yarn", "spark-kubernetes"])
def test_a_driver_in_the_cluster_has_room_for_its_python(overlay: str) -> None:
    values = properties("spark-cluster") | properties(overlay)
    assert values["spark.submit.deployMode"] == "cluster"
    assert values["spark.driver.memory"] == load_settings().spark.driver_memory
    assert int(values["spark.driver.memoryOverhead"].removesuffix("g")) >= 2


def test_workers_have_room_beside_the_heap() -> None:
    values = properties("spark-cluster")
    overhead_mb = float(values["spark.executor.memoryOverheadFactor"]) * _mb(values["spark.executor.memory"])
    assert overhead_mb >= CORES * (WORKER_MB + load_settings().decode.memory_mb)
    for overlay in ("gpu-yarn", "gpu-kubernetes"):
        assert _mb(properties(overlay)["spark.executor.memoryOverhead"]) >= overhead_mb


def _mb(size: str) -> int:
    return 1024 * int(size.removesuffix("g"))


def test_yarn_starts_no_second_driver() -> None:
    assert properties("spark-yarn")["spark.yarn.maxAppAttempts"] == "1"


def test_the_image_is_of_this_spark_and_this_checkout() -> None:
    lines = [line.split() for line in Path(CONF_FOLDER, "Dockerfile").read_text().splitlines()]
    assert f"apache/spark:{metadata.version('pyspark')}-scala2.13-java17-ubuntu" in lines[3]
    copied = [name for verb, *names in filter(None, lines) if verb == "COPY" for name in names[:-1]]
    own = [name for name in copied if not name.startswith(("/", "--", "dist/"))]
    assert own == ["conf/constraints.txt", "conf", "jobs"]
    assert all(Path(CONF_FOLDER.parent, name).exists() for name in own)
    assert ["COPY", "conf", "/opt/avlib/conf"] in lines and ["COPY", "jobs", "/opt/avlib/jobs"] in lines
    values = properties("spark-kubernetes")
    assert "/opt/avlib/conf/log4j2.properties" in values["spark.driver.extraJavaOptions"]


def test_files_that_are_named_are_there() -> None:
    text = "".join(conf.read_text() for conf in CONF_FOLDER.glob("*.conf"))
    named = set(re.findall(r"[ =/](conf/[\w.-]+)", text)) - {"conf/spark-env.sh"}  # each worker's own
    assert {"conf/log4j2.properties", "conf/gpu-discovery.sh"} < named
    assert [path for path in named if not (CONF_FOLDER.parent / path).is_file()] == []
    assert os.access(Path(CONF_FOLDER, "gpu-discovery.sh"), os.X_OK)
