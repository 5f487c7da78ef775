"""agreement: samples → scores; before knn, where a strategy is scored."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["agreement", *sys.argv[1:]])
