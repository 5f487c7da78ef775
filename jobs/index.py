"""index: collection → FAISS shards and their manifest."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["index", *sys.argv[1:]])
