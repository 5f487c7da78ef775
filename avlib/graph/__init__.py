"""The mutual k-nearest-neighbor graph and its connected components, in memory."""

from avlib.graph.components import connected_components
from avlib.graph.contraction import contract
from avlib.graph.mutual import MutualEdges, mutual_edges

__all__ = ["MutualEdges", "connected_components", "contract", "mutual_edges"]
