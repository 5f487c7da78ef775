"""What the driver asks for, by the session's settings; and how far local mode takes a profile."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from py4j.protocol import Py4JJavaError
from pyspark import SparkConf
from pyspark.resource import ResourceProfile
from pyspark.sql import SparkSession

from avlib.spark.resources import gpu_profile, slots

pytestmark = pytest.mark.spark

GPUS = {"spark.executor.resource.gpu.amount": "2"}
DYNAMIC = {"spark.dynamicAllocation.enabled": "true"}
TEN = {"spark.dynamicAllocation.maxExecutors": "10"}


def profile(conf: dict[str, str], *, device: str = "auto", master: str = "spark://host:7077") -> ResourceProfile | None:
    """gpu_profile of a session on a cluster that is not there."""
    values = SparkConf(loadDefaults=False).setAll(list(conf.items()))
    session = SimpleNamespace(sparkContext=SimpleNamespace(master=master, applicationId="app", getConf=lambda: values))
    return gpu_profile(session, device)  # type: ignore[arg-type]


def test_nothing_in_local_mode_on_the_cpu_and_without_gpus(spark: SparkSession) -> None:
    assert gpu_profile(spark, "cuda") is None
    assert profile(GPUS, master="local[4]") is None
    assert profile(GPUS | DYNAMIC, device="cpu") is None
    assert profile({}) is None
    assert profile({}, device="cuda") is None
    assert profile(DYNAMIC) is None


@pytest.mark.parametrize("master", ["spark://host:7077", "yarn", "k8s://host"])
def test_static_executors_get_task_requests_alone(spark: SparkSession, master: str) -> None:
    asked = profile(GPUS | {"spark.task.resource.gpu.amount": "0.25", "spark.task.cpus": "2"}, master=master)
    assert asked is not None
    assert asked.executorResources == {}
    assert {name: need.amount for name, need in asked.taskResources.items()} == {"cpus": 2.0, "gpu": 0.25}


def test_a_session_has_one_profile(spark: SparkSession) -> None:
    assert profile(GPUS) is profile(GPUS, device="cuda")
    assert profile(GPUS) is not profile(GPUS | DYNAMIC)


def test_dynamic_allocation_gets_a_full_profile(spark: SparkSession) -> None:
    gpu = "spark.executor.resource.gpu"
    more = {f"{gpu}.discoveryScript": "/x.sh", f"{gpu}.vendor": "nvidia.com", "spark.executor.cores": "8"}
    for asked, gpus, share in (
        (profile(GPUS | DYNAMIC | more), 2, 0.25),
        (profile({f"{gpu}.amount": "0"} | DYNAMIC | more, device="cuda"), 1, 0.125),
        (profile({f"{gpu}.amount": "0", "spark.task.cpus": "3"} | DYNAMIC | more, device="cuda"), 1, 0.5),
    ):
        assert asked is not None
        executor = asked.executorResources
        assert {name: need.amount for name, need in executor.items()} == {"cores": 8, "gpu": gpus}
        assert (executor["gpu"].discoveryScript, executor["gpu"].vendor) == ("/x.sh", "nvidia.com")
        assert asked.taskResources["gpu"].amount == share


@pytest.mark.parametrize("conf", [GPUS, GPUS | DYNAMIC])
def test_map_in_arrow_takes_it_and_local_mode_refuses_to_run_it(spark: SparkSession, conf: dict[str, str]) -> None:
    rows = spark.range(3).mapInArrow(lambda batches: batches, "id bigint", profile=profile(conf))
    assert rows.schema.fieldNames() == ["id"]
    with pytest.raises(Py4JJavaError, match="ResourceProfiles are only supported"):
        rows.collect()
    plain = spark.range(3).mapInArrow(lambda batches: batches, "id bigint", profile=profile({}))
    assert plain.count() == 3


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({}, 6),
        (DYNAMIC, 6),
        ({"spark.dynamicAllocation.maxExecutors": "10"}, 6),
        (DYNAMIC | {"spark.dynamicAllocation.maxExecutors": "10"}, 10),
        (DYNAMIC | {"spark.dynamicAllocation.maxExecutors": "10", "spark.executor.cores": "8"}, 80),
        (
            DYNAMIC
            | {"spark.dynamicAllocation.maxExecutors": "3", "spark.executor.cores": "8", "spark.task.cpus": "3"},
            6,
        ),
        (DYNAMIC | {"spark.dynamicAllocation.maxExecutors": "10", "spark.default.parallelism": "6"}, 6),
    ],
)
def test_slots_are_those_that_may_be(spark: SparkSession, conf: dict[str, str], expected: int) -> None:
    values = SparkConf(loadDefaults=False).setAll(list(conf.items()))
    context = SimpleNamespace(defaultParallelism=6, getConf=lambda: values)
    assert slots(SimpleNamespace(sparkContext=context)) == expected  # type: ignore[arg-type]
