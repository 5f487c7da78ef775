"""A blind listening test: do the sounds of one arm fit their pictures better than those of another?"""

from avlib.listening.answers import Difference, Rating, Verdict, sum_up
from avlib.listening.sheet import DROPPED, KEPT, Excerpt, Item, draw_items, write_sheet

__all__ = [
    "DROPPED",
    "KEPT",
    "Difference",
    "Excerpt",
    "Item",
    "Rating",
    "Verdict",
    "draw_items",
    "sum_up",
    "write_sheet",
]
