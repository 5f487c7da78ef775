"""knn: samples, components of the step before → neighbors.  Takes --step."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["knn", *sys.argv[1:]])
