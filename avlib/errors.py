"""The errors avlib raises on purpose. Each prints as one line that says what was wrong and what to do."""

from __future__ import annotations

import re
from pathlib import Path


class AvlibError(Exception):
    """Base of all errors a user can mend. Console commands print it in one line and exit with 2."""


class ConfigError(AvlibError):
    """A setting is unknown, out of range, or cannot be honoured on this machine."""


class InputError(AvlibError):
    """An input the user named (a manifest, a folder, a query picture) cannot be used."""


class WarehouseError(AvlibError):
    """The warehouse is missing a table, is of another schema version, or broke an invariant."""


class LostBlockError(WarehouseError):
    """A block of samples, packed for kNN, is gone or damaged: it has to be packed again."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"block {name} {problem}")
        self.name, self.problem = name, problem

    def __reduce__(self) -> tuple[object, ...]:
        return LostBlockError, (self.name, self.problem)


class ParameterError(AvlibError, ValueError):
    """A function was given a value outside its range."""

    def __init__(self, parameter: str, value: object, expected: str) -> None:
        super().__init__(f"{parameter} = {value!r}: expected {expected}")
        self.parameter = parameter


class MediaError(AvlibError):
    """A media file cannot be read. It costs its own video and nothing else.

    error_class: a short stable word to group and retry by (`not_found`, `unreadable`, …).
    transient: True where the same file may well work at another time (a network error, a full disk).
    """

    def __init__(self, path: Path | str, reason: str, *, error_class: str, transient: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason
        self.error_class = error_class
        self.transient = transient

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword arguments do not survive a process boundary by themselves.
        return (_media_error, (self.path, self.reason, self.error_class, self.transient))


def _media_error(path: str, reason: str, error_class: str, transient: bool) -> MediaError:
    return MediaError(path, reason, error_class=error_class, transient=transient)


def in_one_line(error: Exception) -> str | None:
    """One line for an error of avlib's, also one that a Spark worker raised, of Spark's or the system's; else None."""
    if isinstance(error, AvlibError):
        return str(error)
    raised = re.search(r"^avlib\.errors\.\w+: (.+)$", str(error), re.MULTILINE)
    if raised:
        return raised[1]
    if isinstance(error, OSError) or type(error).__module__.startswith(("pyspark.errors", "py4j")):
        cause = re.search(r"^(?:Caused by)?: [\w.$]+: ?(.+)$", str(error), re.MULTILINE)
        said = cause[1] if cause else (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"{said} (--debug shows where)"
    return None
