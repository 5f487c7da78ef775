"""How many videos the command line names, without opening any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from statistics import fmean

from avlib.config import Settings
from avlib.errors import InputError
from avlib.fetching import find_remote
from avlib.inputs import DURATION_COLUMN, find_inputs, read_manifest


def count_videos(arguments: Sequence[str], settings: Settings) -> tuple[int, float | None]:
    """Videos, each counted once; and their mean duration in seconds where manifests say it of all, else None.

    Raises InputError as `find_inputs` and `read_manifest` do.
    """
    found = find_inputs(arguments, extensions=settings.ingest.extensions)
    folders = [uri for uri in found.remote if uri.startswith("s3:")]  # or patterns, or single objects
    listed = find_remote(folders, extensions=settings.ingest.extensions, settings=settings.fetch) if folders else []
    durations: dict[str, float | None] = {file.uri: None for file in (*found.files, *listed)}
    durations |= {uri: None for uri in found.remote if uri not in folders}
    for path in found.manifests:
        table = read_manifest(path)
        metadata = map(dict, table["metadata"].to_pylist())
        durations |= zip(table["uri"].to_pylist(), _durations(metadata), strict=True)
    if not durations:
        raise InputError(f"no video found: {', '.join(arguments)} names none")
    known = [duration for duration in durations.values() if duration is not None]
    return len(durations), fmean(known) if len(known) == len(durations) else None


def _durations(metadata: Iterator[dict[str, str]]) -> Iterator[float | None]:
    for columns in metadata:
        try:
            duration_s = float(columns.get(DURATION_COLUMN, ""))
        except ValueError:
            duration_s = 0.0
        yield duration_s if isfinite(duration_s) and duration_s > 0 else None
