"""A training process: python process.py JOB [MEETING].  One of WORLD_SIZE, on its GPU or the CPU.

On a cluster torchrun starts it, by Spark's TorchDistributor, to which a file can be given, so that no function has to
be pickled. On one machine `training_here` does: then processes find each other by the file MEETING, and a process ends
when its stdin does.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

_HERE = str(Path(__file__).parent)
sys.path[:] = [place for place in sys.path if place != _HERE]  # a script's folder is no place to import from

import torch  # noqa: E402
from torch import distributed  # noqa: E402

from avlib.learning.job import LearningJob  # noqa: E402
from avlib.learning.training import Trainer  # noqa: E402


def main(place: str, meeting: str = "") -> None:
    """Take part in the training that the file at `place` tells of."""
    if meeting:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    job = LearningJob.read(place)
    torch.set_num_threads(job.threads)
    rank, world, local = (int(os.environ.get(name, given)) for name, given in _PLACE.items())
    if world > 1:
        found_by = f"file://{meeting}" if meeting else "env://"
        distributed.init_process_group("nccl" if job.cuda else "gloo", found_by, rank=rank, world_size=world)
    try:
        trainer = Trainer(job, rank=rank, world=world, device=f"cuda:{local}" if job.cuda else "cpu")
        trainer.run(lambda line: print(f"  learn: {line}", flush=True))
    finally:
        if world > 1:
            distributed.destroy_process_group()


def _end_with_stdin() -> None:
    os.read(0, 1)
    os._exit(1)


_PLACE = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}

if __name__ == "__main__":
    main(*sys.argv[1:])
