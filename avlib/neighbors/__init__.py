"""Nearest neighbors of samples, block by block, exact or in cells. No Spark, no I/O: blocks come in, lists go out."""

from avlib.neighbors.block import Block, NeighborLists, NeighborRule, joined
from avlib.neighbors.cell_search import CellSearch
from avlib.neighbors.cell_space import MOST_PROBES, choose_space
from avlib.neighbors.cells import Cells, deal_cells, train_cells
from avlib.neighbors.exact import PairSearch, nearest, nearest_within, runs, side
from avlib.neighbors.kernel import Side
from avlib.neighbors.merge import merged
from avlib.neighbors.recall import Probes, ReachChoice, choose_reach, mutual, named_pairs, needed_reach
from avlib.neighbors.super_tiles import SuperTile, dealt, in_turns, super_tiles
from avlib.neighbors.tiles import Fold, fold_on

__all__ = [
    "MOST_PROBES",
    "Block",
    "CellSearch",
    "Cells",
    "Fold",
    "NeighborLists",
    "NeighborRule",
    "PairSearch",
    "Probes",
    "ReachChoice",
    "Side",
    "SuperTile",
    "choose_reach",
    "choose_space",
    "deal_cells",
    "dealt",
    "fold_on",
    "in_turns",
    "joined",
    "merged",
    "mutual",
    "named_pairs",
    "nearest",
    "nearest_within",
    "needed_reach",
    "runs",
    "side",
    "super_tiles",
    "train_cells",
]
