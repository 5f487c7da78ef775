"""How far a transfer has come, and when it goes too far."""

from __future__ import annotations

import time

from fsspec.callbacks import Callback

from avlib.config import FetchSettings
from avlib.errors import MediaError


class Progress(Callback):  # type: ignore[misc]  # fsspec comes without types
    """Counts the bytes of one transfer. Raises MediaError as soon as they, or the time, exceed what is allowed."""

    def __init__(self, uri: str, settings: FetchSettings) -> None:
        super().__init__()
        self._uri, self._settings = uri, settings
        self._started_s = time.monotonic()

    def set_size(self, size: int | None) -> None:
        """The server says how many bytes there are."""
        self.size = size
        self._check(size or 0)

    def relative_update(self, inc: int = 1) -> None:
        """So many bytes more have come."""
        self.value += inc
        self._check(self.value)
        if time.monotonic() - self._started_s > self._settings.timeout_s:
            raise too_slow(self._uri, self._settings)

    def finish(self) -> None:
        """All has come. Raises MediaError where it is less than the server said."""
        if self.size is not None and self.value != self.size:
            reason = f"{self.value} of {self.size} bytes came; it is tried again by the next describe"
            raise MediaError(self._uri, reason, error_class="fetch_failed", transient=True)

    def _check(self, size: int) -> None:
        if size > self._settings.quota_bytes:
            reason = f"more than fetch.quota_bytes = {self._settings.quota_bytes} bytes: raise it, or leave it out"
            raise MediaError(self._uri, reason, error_class="fetch_too_large")


def too_slow(uri: str, settings: FetchSettings) -> MediaError:
    """The error of a transfer that takes too long as a whole."""
    reason = f"not here after fetch.timeout_s = {settings.timeout_s:g} s: raise it, or try again later"
    return MediaError(uri, reason, error_class="fetch_failed", transient=True)


def stalled(uri: str, settings: FetchSettings) -> MediaError:
    """The error of a transfer in which nothing moves any more."""
    reason = f"no data for fetch.stall_s = {settings.stall_s:g} s: raise it, or try again later"
    return MediaError(uri, reason, error_class="fetch_failed", transient=True)


def cannot_write(uri: str, error: OSError) -> MediaError:
    """The error of a temporary folder that takes no more."""
    reason = f"its copy cannot be written: {error.strerror or error}; make room in the temporary folder ($TMPDIR)"
    return MediaError(uri, reason, error_class="fetch_failed", transient=True)


def answered(uri: str, status: int, *, what: str) -> MediaError:
    """The error behind an HTTP status, of a web or an S3 server. what: the server's words."""
    said = f"the server answered {status} {what}".strip()
    if status in (404, 410):
        return MediaError(uri, f"{said}: there is no such file; check the URI", error_class="fetch_not_found")
    if status in (401, 403, 407, 451):
        mend = "allow avlib's machines to read it, or copy it to a path that every worker sees"
        return MediaError(uri, f"{said}: {mend}", error_class="fetch_refused")
    if status >= 500 or status in (408, 425, 429):
        return MediaError(uri, f"{said}: try again later", error_class="fetch_failed", transient=True)
    return MediaError(uri, f"{said}: check the URI", error_class="fetch_failed")
