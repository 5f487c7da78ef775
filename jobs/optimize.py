"""optimize: tables that have grown by many runs → the same rows in few large files."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["optimize", *sys.argv[1:]])
