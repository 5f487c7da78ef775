"""What a training process is told: where the sound lies, what to do with it, where to put what comes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from avlib.arrays import Float32Array
from avlib.config import LearnSettings
from avlib.errors import InputError
from avlib.learning.tracks import read_track
from avlib.storage import read_whole, write_whole

FEWEST_HELD_OUT = 2
"""Videos; a window is told from those of other videos."""

FEWEST_VIDEOS = 4


@dataclass(frozen=True)
class LearningJob:
    """folder: of the tracks, of checkpoints and of the result.  train, held_out: videos, whose tracks lie in it.

    threads: of each process.  cuda: whether each has a GPU.
    """

    folder: str
    train: tuple[int, ...]
    held_out: tuple[int, ...]
    settings: LearnSettings
    threads: int
    cuda: bool

    @property
    def place(self) -> str:
        """The file that says all this."""
        return f"{self.folder}/job.json"

    def write(self) -> None:
        """Write it down for the processes."""
        values = asdict(self) | {"settings": self.settings.model_dump(mode="json")}
        write_whole(self.place, json.dumps(values).encode())

    @classmethod
    def read(cls, place: str) -> LearningJob:
        """From what `write` wrote."""
        given = json.loads(read_whole(place).to_pybytes())
        settings = LearnSettings.model_validate(given["settings"])
        train, held_out = (tuple(given[name]) for name in ("train", "held_out"))
        return cls(given["folder"], train, held_out, settings, given["threads"], given["cuda"])

    def tracks(self, videos: Sequence[int]) -> dict[int, Float32Array]:
        """The tracks of some videos, by video."""
        return {video: read_track(self.folder, video) for video in videos}


def learning_folder(warehouse: str) -> str:
    """Where tracks and checkpoints lie until a network has been learned; after a kill they are still there."""
    return f"{warehouse}/_learning"


def deal(videos: Sequence[int], settings: LearnSettings) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Videos to learn from, and those held out: drawn by the seed, whatever the order they come in.

    Raises InputError for fewer than FEWEST_VIDEOS.
    """
    if len(videos) < FEWEST_VIDEOS:
        raise InputError(
            f"a sound descriptor is learned from at least {FEWEST_VIDEOS} videos with a second of loud sound, and "
            f"{len(videos)} were found: add videos, or set filter.audio = audio_context"
        )
    shuffled = np.random.default_rng(settings.seed).permutation(sorted(videos)).tolist()
    held = min(max(round(settings.held_out * len(shuffled)), FEWEST_HELD_OUT), len(shuffled) - FEWEST_HELD_OUT)
    return tuple(sorted(shuffled[held:])), tuple(sorted(shuffled[:held]))


def weights_place(folder: str) -> str:
    """Where a training leaves its network."""
    return f"{folder}/network.safetensors"


def report_place(folder: str) -> str:
    """Where it leaves its report."""
    return f"{folder}/report.json"
