"""The filter: steps of kNN, mutual edges and components, each inside the components of the one before."""

from avlib.filtering.in_memory import SampleArrays, StepResult, filter_in_memory
from avlib.filtering.medoid import descriptor_sum, distance_steps, mean_of, medoids
from avlib.filtering.selection import kept
from avlib.filtering.strategy import Step, cap_k, capped, scoped_k

__all__ = [
    "SampleArrays",
    "Step",
    "StepResult",
    "cap_k",
    "capped",
    "descriptor_sum",
    "distance_steps",
    "filter_in_memory",
    "kept",
    "mean_of",
    "medoids",
    "scoped_k",
]
