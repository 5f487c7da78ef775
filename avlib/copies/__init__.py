"""Videos that are uploaded again, encoded anew, or cut into others: found by what they show and sound like."""

from avlib.copies.in_memory import LEAST_ALIKE, MOST_ORIGINALS, CopiesFound, copies_in_memory
from avlib.copies.sketch import COMPARED, Sketch, random_pair_medians, search_weights
from avlib.copies.stretches import CopiedStretch, Grid, compared, copied_stretches, originals_of

__all__ = [
    "COMPARED",
    "LEAST_ALIKE",
    "MOST_ORIGINALS",
    "CopiedStretch",
    "CopiesFound",
    "Grid",
    "Sketch",
    "compared",
    "copied_stretches",
    "copies_in_memory",
    "originals_of",
    "random_pair_medians",
    "search_weights",
]
