"""One step's search as the workers need it, and what to do when a block is lost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib.agreement import ACROSS_VIDEOS
from avlib.config import KnnSettings, Settings, StepSettings
from avlib.descriptors import DescriptorStats
from avlib.errors import LostBlockError
from avlib.filtering import cap_k
from avlib.neighbors import Fold, NeighborRule, fold_on
from avlib.spark.progress import say
from avlib.spark.resources import task_device

Result = TypeVar("Result")

_REPACKINGS = 3


@dataclass(frozen=True)
class BlockSearch:
    """One step's search, as the workers need it.

    device: describe.device, by which super-tiles of large components are compared on GPUs. Cells and small components
    are too small to be worth it.
    """

    step: StepSettings
    knn: KnnSettings
    stats: DescriptorStats
    device: str

    @property
    def rule(self) -> NeighborRule:
        """Which samples may be neighbors."""
        return NeighborRule(self.knn.exclude, self.knn.exclude_s, self.knn.per_video)

    @property
    def weights(self) -> tuple[float, float]:
        """(w_V, w_A)."""
        return self.step.w_V, self.step.w_A

    def fold(self) -> Fold:
        """What compares pairs in this task."""
        return fold_on(task_device(self.device))

    def k_of(self, size: int) -> int:
        """k inside a component of this size."""
        return cap_k(self.step.k, size, self.step.k_share)


def across_videos(step: StepSettings, settings: Settings, *, dimension: int) -> BlockSearch:
    """Of other videos' samples, one of each, in views: descriptors to be compared as they are (avlib.spark.views).

    dimension: of their sound.
    """
    rule = {"exclude": ACROSS_VIDEOS.exclude, "per_video": ACROSS_VIDEOS.per_video}
    as_they_are = DescriptorStats(np.zeros(dimension), np.ones(dimension), 0)
    return BlockSearch(step, settings.knn.model_copy(update=rule), as_they_are, settings.describe.device)


def sound_dimension(views: DataFrame) -> int:
    """0 where there are no views."""
    first = views.select(F.size("audio")).first()
    return 0 if first is None else int(first[0])


def with_lost_blocks_remade(work: Callable[[], Result], remake: Callable[[Sequence[str]], object]) -> Result:
    """Do some work; where tasks say that a block is lost, remake it and begin anew, a few times for each block."""
    lost = Counter[str]()
    while True:
        try:
            return work()
        except (PySparkException, LostBlockError) as error:
            name, problem = _lost(error)
            lost[name] += 1
            if not name or lost[name] > _REPACKINGS:
                raise
            say(f"  block {name} {problem}: it is packed again")
            remake([name])


def _lost(error: Exception) -> tuple[str, str]:
    """The block that an error of a task's, or of this process, says is lost, and how; empty for another error."""
    if isinstance(error, LostBlockError):
        return error.name, error.problem
    said = re.search(r"LostBlockError: block (\S+) (.*)", str(error))
    return (said[1], said[2]) if said else ("", "")
