"""The training processes on this machine: they talk to each other on its loopback addresses alone, and end with it.

torchrun, which Spark's TorchDistributor starts, has a store that listens on all addresses, asks nobody for a password
and unpickles what it is sent.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from avlib.learning.job import LearningJob

_LOOPBACK = "lo" if sys.platform == "linux" else "lo0"


def train_here(job: LearningJob, *, gpus: Sequence[int], say: Callable[[str], None]) -> None:
    """Train in as many processes as the job asks for.

    gpus: torch's numbers, one for each process, where the job is for GPUs.  say: takes the lines that they print.
    Raises RuntimeError, with the last of these lines, where a process fails; then the others are ended, too.
    """
    world, reading, writing = job.settings.processes, *os.pipe()
    process = Path(__file__).with_name("process.py")
    environment = os.environ | {
        "WORLD_SIZE": str(world),
        "GLOO_SOCKET_IFNAME": _LOOPBACK,
        "NCCL_SOCKET_IFNAME": _LOOPBACK,
    }
    last = ""
    of_meeting = TemporaryDirectory(prefix="avlib-learn-") if world > 1 else nullcontext("")
    with of_meeting as folder, os.fdopen(reading, errors="replace") as said:
        command = [sys.executable, str(process), job.place, f"{folder}/meeting"]
        # A pipe as stdin: it closes when this process is gone, and so they end.
        started = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=writing,
                stderr=subprocess.STDOUT,
                env=environment | {"RANK": str(rank), "LOCAL_RANK": str(gpus[rank] if job.cuda else rank)},
            )
            for rank in range(world)
        ]
        os.close(writing)

        def kill() -> None:
            for one in started:
                one.kill()

        def kill_others_unless_well(one: subprocess.Popen[bytes]) -> None:
            if one.wait():
                kill()  # they would wait for it

        with ThreadPoolExecutor(world) as waiting:
            try:
                ended = [waiting.submit(kill_others_unless_well, one) for one in started]
                for line in said:
                    last = line.strip() or last
                    say(line.rstrip())
                for one in ended:
                    one.result()
            finally:
                kill()
    if any(one.returncode for one in started):
        raise RuntimeError(last or "it said nothing")
