"""doctor: what is not as avlib needs it, on the driver and on the executors of the cluster it is submitted to."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["doctor", *sys.argv[1:]])
