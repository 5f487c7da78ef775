"""A blind listening test: do the sounds of kept samples fit their pictures better than those of dropped ones?"""

from avlib.listening.answers import Rating, sum_up
from avlib.listening.sheet import DROPPED, KEPT, Item, draw_items, write_sheet

__all__ = ["DROPPED", "KEPT", "Item", "Rating", "draw_items", "sum_up", "write_sheet"]
