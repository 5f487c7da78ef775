"""collection: samples, videos, components → collection.  Takes --step."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["collection", *sys.argv[1:]])
