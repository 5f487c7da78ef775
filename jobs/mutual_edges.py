"""mutual_edges: neighbors → mutual_edges.  Takes --step."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["mutual_edges", *sys.argv[1:]])
