"""What is planned for: a collection of videos and the cluster it goes through; how many samples, how large the tables.

Bytes are as stored, taking float32 numbers and ids at their full size: they hardly compress.
"""

from __future__ import annotations

from dataclasses import dataclass

from avlib.config import Settings
from avlib.errors import ParameterError
from avlib.planning.cost import list_bytes

BARE_BYTES = 150_000_000
"""A Python worker with numpy, numba and Arrow, seen on Linux."""

PYTHON_SHARE = 0.75
"""Of a machine's memory, for Python workers: the rest is the JVM's and the system's."""

_URI_BYTES = 100


@dataclass(frozen=True)
class Cluster:
    """machines alike, each with so many cores and so much memory; gpus: of all machines together.

    Raises ParameterError, naming the command's option, for values out of range.
    """

    machines: int
    cores: int
    memory_gb: float
    gpus: int = 0

    def __post_init__(self) -> None:
        for name, least in (("machines", 1), ("cores", 1), ("gpus", 0)):
            if getattr(self, name) < least:
                raise ParameterError(f"--{name}", getattr(self, name), f"{least} or more")
        if not 0 < self.memory_gb < float("inf"):
            raise ParameterError("--memory-gb", self.memory_gb, "gigabytes of one machine, more than 0")

    @property
    def slots(self) -> int:
        """Tasks that run at a time: one a core."""
        return self.machines * self.cores

    @property
    def task_bytes(self) -> float:
        """Memory of the Python side of one task."""
        return self.memory_gb * 1e9 * PYTHON_SHARE / self.cores


@dataclass(frozen=True)
class Collection:
    """videos of mean_s seconds; kept_share: of a video's frames that are louder than its median.

    Raises ParameterError, naming the command's option, for values out of range.
    """

    videos: int
    mean_s: float
    kept_share: float = 0.5

    def __post_init__(self) -> None:
        if self.videos < 1:
            raise ParameterError("--videos", self.videos, "1 or more")
        if not 0 < self.mean_s < float("inf"):
            raise ParameterError("--mean-seconds", self.mean_s, "seconds of a video, more than 0")
        if not 0 < self.kept_share <= 1:
            raise ParameterError("--kept-share", self.kept_share, "a share of the frames, above 0 and at most 1")

    def samples(self, settings: Settings) -> int:
        """Frames on the grid, every n-th by the stride, that are loud."""
        grid_hz = settings.describe.frame_rate_hz / settings.describe.frame_stride
        return round(self.videos * self.mean_s * grid_hz * self.kept_share)


@dataclass(frozen=True)
class Descriptors:
    """How many numbers describe a sample.

    audio: those of the sound descriptor that the filter looks at.  stored: of all sound descriptors in `samples`.
    """

    visual: int
    audio: int
    stored: int

    def weighed(self, w_V: float, w_A: float) -> int:
        """Those that a step with these weights looks at."""
        return (self.visual if w_V else 0) + (self.audio if w_A else 0)

    @property
    def sample_bytes(self) -> int:
        """A row of `samples`: id, attempt, time, RMS, numbers."""
        return 8 + 4 + 8 + 4 + 4 * (self.visual + self.stored)

    @property
    def collection_bytes(self) -> int:
        """What a row of `collection` takes of it: id, video, time, numbers."""
        return 8 + 8 + 8 + 4 * (self.visual + self.audio)


@dataclass(frozen=True)
class TableSize:
    """A table; rows and bytes of all steps together. Past `samples` they are the most there can be."""

    table: str
    rows: int
    bytes: int


def table_sizes(samples: int, descriptors: Descriptors, settings: Settings) -> tuple[TableSize, ...]:
    """The large tables, as if no step dropped a sample and every neighbor were a mutual one."""
    steps = settings.filter.steps
    edges = sum(most_edges(samples, step.k) for step in steps)
    collection_row = descriptors.collection_bytes + _URI_BYTES + 8 * len(steps)
    return (
        TableSize("samples", samples, samples * descriptors.sample_bytes),
        TableSize("neighbors", len(steps) * samples, sum(samples * list_bytes(step.k) for step in steps)),
        TableSize("mutual_edges", edges, edges * (8 + 8 + 4)),
        TableSize("components", len(steps) * samples, len(steps) * samples * (8 + 8)),
        TableSize("collection", samples, samples * collection_row),
    )


def most_edges(samples: int, k: int) -> int:
    """Mutual edges if every listed neighbor lists the sample too."""
    return samples * k // 2
