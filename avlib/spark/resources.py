"""Slots: how many tasks run at a time. GPUs: asked for by the driver for the stage that uses them, found by the worker
in its task's resources.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from functools import lru_cache

from pyspark import SparkConf, TaskContext
from pyspark.resource import ExecutorResourceRequests, ResourceProfile, ResourceProfileBuilder, TaskResourceRequests
from pyspark.sql import SparkSession

from avlib.errors import ConfigError
from avlib.spark.progress import say

_GPU = "gpu"  # Spark's name of the resource
_PARALLELISM = "spark.default.parallelism"
_EXECUTOR, _TASK = "spark.executor.resource.gpu", "spark.task.resource.gpu"


def slots(spark: SparkSession) -> int:
    """How many tasks run at a time: now, or, under dynamic allocation, once there are the executors that may be.

    Executors start as tasks wait, so work that is cut for those of this moment would never need more.
    """
    conf, now = spark.sparkContext.getConf(), spark.sparkContext.defaultParallelism
    most = conf.get("spark.dynamicAllocation.maxExecutors")
    if conf.get("spark.dynamicAllocation.enabled", "false") != "true" or not most or conf.get(_PARALLELISM):
        return now
    return max(now, int(most) * (_number(conf, "spark.executor.cores") // _number(conf, "spark.task.cpus")))


def gpu_profile(spark: SparkSession, device: str) -> ResourceProfile | None:
    """What the tasks of a stage that may compute on GPUs need (stage-level scheduling). None: nothing special.

    device: describe.device.
    None in local mode, where Spark refuses profiles, with describe.device = "cpu", and where no GPUs are configured.
    Executors that are there already and have GPUs are used as they are: the profile has requests of tasks only. Under
    dynamic allocation Spark starts other executors for it, so it says what these need, too; where the session's own
    executors have no GPUs, only describe.device = "cuda" asks for such.
    A task takes spark.task.resource.gpu.amount of a GPU; where that is not set, so much that each of the tasks that
    an executor's cores run at a time gets its share.
    """
    conf = spark.sparkContext.getConf()
    if str(spark.sparkContext.master).startswith("local") or device == "cpu":
        return None
    have_gpus = _amount(conf) > 0
    dynamic = conf.get("spark.dynamicAllocation.enabled", "false") == "true"
    if not have_gpus and not (dynamic and device == "cuda"):
        return None
    return _profile(spark.sparkContext.applicationId, dynamic, tuple(conf.getAll()))


@lru_cache(maxsize=1)
def _profile(application_id: str, dynamic: bool, values: tuple[tuple[str, str], ...]) -> ResourceProfile:
    """The one of a session: executors that were started for one profile are not used for another that asks the same."""
    conf = SparkConf(loadDefaults=False).setAll(list(values))
    tasks = TaskResourceRequests().cpus(_number(conf, "spark.task.cpus"))
    tasks.resource(_GPU, _share(conf))
    builder = ResourceProfileBuilder().require(tasks)
    if dynamic:
        builder.require(_executors(conf))
    return builder.build


def _executors(conf: SparkConf) -> ExecutorResourceRequests:
    """Executors with GPUs. What is not named here (memory, its overhead) they take from the session's settings."""
    executors = ExecutorResourceRequests()
    cores = conf.get("spark.executor.cores")
    if cores:
        executors.cores(int(cores))
    script, vendor = (str(conf.get(f"{_EXECUTOR}.{key}", "")) for key in ("discoveryScript", "vendor"))
    return executors.resource(_GPU, _amount(conf) or 1, script, vendor)


def _share(conf: SparkConf) -> float:
    """Of a GPU, for a task."""
    if given := conf.get(f"{_TASK}.amount"):
        return float(given)
    tasks = _number(conf, "spark.executor.cores") // _number(conf, "spark.task.cpus")
    return 1 / max(1, math.ceil(tasks / (_amount(conf) or 1)))


def _number(conf: SparkConf, name: str) -> int:
    return int(str(conf.get(name, "1")))


def _amount(conf: SparkConf) -> int:
    """GPUs of each of the session's own executors."""
    return int(str(conf.get(f"{_EXECUTOR}.amount", "0")))


def task_device(choice: str) -> str:
    """Where this task computes: "cpu" or "cuda:N". To be called in the Python worker.

    choice: describe.device. "auto" takes the GPU that Spark gave the task, else the CPU, and says once in the worker's
    log when torch cannot use that GPU; "cuda" takes it too, or the first of the machine where Spark gives none out
    (local mode). torch is imported only where there may be a GPU.
    Raises ConfigError where "cuda" is asked for and torch sees none, not the one that was given, or cannot use it.
    """
    if choice == "cpu":
        return "cpu"
    addresses = _addresses()
    if choice == "auto" and not addresses:
        return "cpu"
    import torch  # not before: it takes seconds, and other descriptors do not need it

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = gpu_index(addresses[0]) if addresses else 0
    why = _unusable(index) if index < seen else f"it sees {seen} CUDA devices (CUDA_VISIBLE_DEVICES, the driver)"
    if why is None:
        return f"cuda:{index}"
    given = f"GPU {addresses[0]}, given by Spark" if addresses else "a GPU"
    problem = f"torch cannot use {given}: {why}"
    if choice == "cuda":
        raise ConfigError(f"describe.device = cuda: {problem}; mend that, or set describe.device = auto")
    _say_once(f"describe.device = auto: {problem}; this worker computes on the CPU")
    return "cpu"


def _unusable(index: int) -> str | None:
    """What torch says where it cannot compute on a GPU that it sees: of a kind it was not built for, or full."""
    import torch

    try:
        return None if torch.ones(1, device=f"cuda:{index}").sum().item() == 1 else "it computes wrongly"
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().splitlines()[0]


def _addresses() -> Sequence[str]:
    context = TaskContext.get()
    resources = context.resources() if context else {}
    return resources[_GPU].addresses if _GPU in resources else []


def gpu_index(address: str) -> int:
    """torch's number of a GPU: its place among the visible ones where these are named, else its address."""
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    if address in visible:
        return visible.index(address)
    if not address.isdigit():
        raise ConfigError(
            f"Spark gives this task GPU {address!r}, which is no number nor in CUDA_VISIBLE_DEVICES: use "
            "conf/gpu-discovery.sh, or set describe.device = cpu"
        )
    return int(address)


@lru_cache(maxsize=8)
def _say_once(line: str) -> None:
    say(line)
