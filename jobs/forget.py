"""forget: videos leave all tables; says what would go, and does it with --yes."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["forget", *sys.argv[1:]])
