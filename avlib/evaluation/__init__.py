"""Measuring: how clean samples are by labels, how often suggestions are right. The filter never uses it."""

from avlib.evaluation.labels import Cleanliness, Labels, StrArray, Truth, read_labels
from avlib.evaluation.retrieval import RetrievalRates, answer_rates, nearest_rows, retrieval_rates
from avlib.evaluation.samples import SampleSet, read_kept, read_run, read_samples, read_visual

__all__ = [
    "Cleanliness",
    "Labels",
    "RetrievalRates",
    "SampleSet",
    "StrArray",
    "Truth",
    "answer_rates",
    "nearest_rows",
    "read_kept",
    "read_labels",
    "read_run",
    "read_samples",
    "read_visual",
    "retrieval_rates",
]
