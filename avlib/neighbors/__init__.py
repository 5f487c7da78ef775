"""Nearest neighbors of samples, exact, block by block. No Spark, no I/O: blocks come in, lists go out."""

from avlib.neighbors.block import Block, NeighborLists, NeighborRule
from avlib.neighbors.exact import nearest, nearest_within

__all__ = ["Block", "NeighborLists", "NeighborRule", "nearest", "nearest_within"]
