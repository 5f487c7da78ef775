"""Nearest neighbors of samples, exact, block by block. No Spark, no I/O: blocks come in, lists go out."""

from avlib.neighbors.block import Block, NeighborLists, NeighborRule
from avlib.neighbors.exact import PairSearch, nearest, nearest_within, side
from avlib.neighbors.merge import merged
from avlib.neighbors.super_tiles import SuperTile, dealt, super_tiles

__all__ = [
    "Block",
    "NeighborLists",
    "NeighborRule",
    "PairSearch",
    "SuperTile",
    "dealt",
    "merged",
    "nearest",
    "nearest_within",
    "side",
    "super_tiles",
]
