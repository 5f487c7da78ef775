"""What is told of an error in one line."""

from __future__ import annotations

import pytest

from avlib.errors import ConfigError, in_one_line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConfigError("no"), "no"),
        (TimeoutError(), "TimeoutError (--debug shows where)"),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device (--debug shows where)"),
        (RuntimeError("on a worker:\navlib.errors.InputError: a.mp4: no\n"), "a.mp4: no"),
        (OSError("a\nCaused by: java.io.IOException: full\nat x"), "full (--debug shows where)"),
        (ValueError("a bug"), None),
    ],
)
def test_one_line(error: Exception, said: str | None) -> None:
    assert in_one_line(error) == said
