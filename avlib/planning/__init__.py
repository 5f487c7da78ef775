"""What a collection would take, calculated before anything is run. No Spark, no video is opened.

`cost` is also what `knn.method = auto` chooses by; it needs neither torch nor a file of rates.
"""

from avlib.planning.cost import (
    TASKS_A_SLOT,
    CellShape,
    Choice,
    Cost,
    Layout,
    Method,
    cell_groups,
    cells_cost,
    choose_method,
    exact_cost,
    fitting_rows,
    packing_readers,
)
from avlib.planning.rates import NOMINAL, Calibration, Rates

__all__ = [
    "NOMINAL",
    "TASKS_A_SLOT",
    "Calibration",
    "CellShape",
    "Choice",
    "Cost",
    "Layout",
    "Method",
    "Rates",
    "cell_groups",
    "cells_cost",
    "choose_method",
    "exact_cost",
    "fitting_rows",
    "packing_readers",
]
