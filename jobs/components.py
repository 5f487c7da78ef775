"""components: mutual_edges → components.  Takes --step."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["components", *sys.argv[1:]])
