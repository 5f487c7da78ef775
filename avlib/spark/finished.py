"""Whether `pipeline` has anything to do, told before Spark starts: that would be most of an unchanged run's time.

A run that leaves nothing to do keeps a hash of all that decides this. While it stays the same, so does the rest.
"""

from __future__ import annotations

from pyarrow import fs

import avlib
from avlib import tables
from avlib.config import Settings, hash_of
from avlib.errors import WarehouseError
from avlib.inputs import Inputs
from avlib.models import read_sound_model, source_of_weights
from avlib.retrieval.index import index_folder, read_manifest
from avlib.retrieval.shards import is_whole
from avlib.storage import filesystem, is_file, read_whole, write_whole
from avlib.warehouse import check_filter_name, normalise_uri


def hash_of_inputs(settings: Settings, found: Inputs) -> str | None:
    """Hash of the settings, the picture model's weights, and the identity of each file.

    None where that cannot be told from here: manifests name what has to be looked at, and servers have to be asked.
    """
    if found.manifests or found.remote:
        return None
    files = [(file.uri, file.bytes, str(file.modified)) for file in found.files]
    values = settings.model_dump(mode="json", exclude={"spark", "suggest", "serve", "evaluate"})
    return hash_of([avlib.__version__, tables.SCHEMA_VERSION, values, source_of_weights(settings.describe), files])


def hash_of_warehouse(warehouse: str, name: str) -> str:
    """Hash of which commit each table of a filter run is at, of its index, and of which sound network there is."""
    places = [f"{table.path(warehouse, name)}/_delta_log" for table in tables.ALL if table is not tables.RUNS]
    index = _newest_file(index_folder(warehouse, name), named="manifest.json")
    return hash_of([*map(_newest_file, places), index, _newest_file(f"{warehouse}/models", named="audio_learned.json")])


def is_finished(warehouse: str, name: str, settings: Settings, found: Inputs) -> bool:
    """Whether the run that came last here left nothing to do, and nothing has changed since."""
    warehouse, place = normalise_uri(warehouse), _place(warehouse, name)
    of_inputs = hash_of_inputs(settings, found) if is_file(place) else None
    if of_inputs is None or read_whole(place).to_pybytes() != _kept(of_inputs, hash_of_warehouse(warehouse, name)):
        return False
    folder = index_folder(warehouse, name)
    try:
        index = read_manifest(folder)
    except WarehouseError:
        return False
    if index is None or not all(is_whole(folder, shard) for shard in index.shards):
        return False
    network = read_sound_model(warehouse)
    weights = [index.model.weights, network and network.weights]
    return all(is_file(f"{warehouse}/{one}") for one in weights if one)


def keep(warehouse: str, name: str, of_inputs: str, of_warehouse: str) -> None:
    """Remember that there is nothing to do where all is as these hashes say."""
    write_whole(_place(warehouse, name), _kept(of_inputs, of_warehouse))


def _kept(of_inputs: str, of_warehouse: str) -> bytes:
    return f"{of_inputs}{of_warehouse}".encode()


def _place(warehouse: str, name: str) -> str:
    return f"{normalise_uri(warehouse)}/_finished/{check_filter_name(name)}"


def _newest_file(folder: str, *, named: str = "") -> tuple[str, str, int]:
    """Name, time and size of the last of a folder's files by name, which of a table's log is its newest commit."""
    system, path = filesystem(folder)
    files = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
    chosen = [file for file in files if file.base_name == named or (not named and file.base_name.endswith(".json"))]
    newest = max(chosen, key=lambda file: str(file.base_name), default=None)
    return ("", "", 0) if newest is None else (newest.base_name, str(newest.mtime_ns), newest.size)
