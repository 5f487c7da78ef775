"""What tasks that compare pairs tell each other, through files: how near a sample's neighbors are at least.

A list that is begun anew takes in many pairs that better ones drive out again, and each costs an exact distance. Where
another task has found k neighbors of a sample, what is farther than these need not be looked at. Lists are the same
whatever is told, and when: a task reads what there is, and of two that write at once one is heard.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from avlib.arrays import Float32Array
from avlib.spark.block_files import BlockFile
from avlib.storage import filesystem, write_whole

_DIGEST_BYTES = 16


@dataclass(frozen=True)
class Limits:
    """Distances of the k-th neighbors found so far.  made_with: a name for the search, as others may use the folder."""

    folder: str
    made_with: str

    def read(self, file: BlockFile) -> Float32Array:
        """Of the samples of a block, shape (n,), infinity where nothing is known."""
        nothing = np.full(file.rows, np.inf, np.float32)
        system, path = filesystem(self._place(file))
        try:
            with system.open_input_stream(path) as stream:  # not mapped: another task may put a new one in its place
                content = stream.read()
        except OSError:  # there is none, or another task is putting one there
            return nothing
        told = content[_DIGEST_BYTES:]
        # Not whole, or zeros, where a machine lost power: zeros would leave every neighbor out.
        if len(told) != nothing.nbytes or _digest(told) != content[:_DIGEST_BYTES]:
            return nothing
        return np.frombuffer(told, np.float32)

    def lower(self, file: BlockFile, distances: Float32Array) -> None:
        """Tell the distances of the k-th entries of a block's lists, shape (n,), infinity where they are shorter."""
        known = self.read(file)
        if (distances < known).any():
            told = np.minimum(known, distances).tobytes()
            with suppress(OSError):  # what others are not told costs time, no more
                write_whole(self._place(file), _digest(told) + told)

    def _place(self, file: BlockFile) -> str:
        return f"{self.folder}/limits-{self.made_with}-{file.name}"


def _digest(told: bytes) -> bytes:
    return hashlib.blake2b(told, digest_size=_DIGEST_BYTES).digest()
