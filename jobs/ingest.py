"""ingest: inputs → videos."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["ingest", *sys.argv[1:]])
