"""filter: samples → neighbors, mutual_edges, components, collection; the loop over the steps of a strategy."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["filter", *sys.argv[1:]])
