"""describe: videos → samples, descriptions, descriptor_stats."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["describe", *sys.argv[1:]])
