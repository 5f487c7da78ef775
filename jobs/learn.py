"""learn: the sound of described videos → a network, and with it audio_learned of every sample. Optional."""

import sys

from avlib.cli import main

if __name__ == "__main__":
    main(["learn", *sys.argv[1:]])
