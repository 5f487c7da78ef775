"""evaluate: samples, labels → evaluation.  Takes corruption, size, no-labels or listening-sheet, and its options."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
