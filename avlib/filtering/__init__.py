"""The filter: steps of kNN, mutual edges and components, each inside the components of the one before."""

from avlib.filtering.in_memory import SampleArrays, StepResult, filter_in_memory
from avlib.filtering.strategy import Step, cap_k, kept, scoped_k

__all__ = ["SampleArrays", "Step", "StepResult", "cap_k", "filter_in_memory", "kept", "scoped_k"]
