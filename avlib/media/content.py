"""What a file holds, in a word: files of the same content have the same hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from avlib.errors import MediaError
from avlib.media import progress
from avlib.media.opening import check_is_file

_PIECE_BYTES = 1 << 20  # at a time


def content_hash(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises MediaError as `check_is_file` does, and where the file cannot be read."""
    check_is_file(path)  # a pipe would never end
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
                progress.go_on()
    except OSError as error:
        raise MediaError(path, f"cannot be read: {error.strerror}", error_class="unreadable", transient=True) from None
    return digest.hexdigest()
