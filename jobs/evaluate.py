"""evaluate: samples, labels → evaluation.  Takes the experiment, corruption or size, and its options."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
