"""A warehouse whose index does not fit its collection, or is empty: the page says so, and answers once it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from page_server import assert_plain, served
from small_warehouse import SmallWarehouse, make_warehouse

from avlib import tables
from avlib.config import load_settings
from avlib.warehouse import Warehouse

SETTINGS = load_settings()


def test_an_index_that_does_not_fit_is_said_and_forgotten_once_it_does(tmp_path: Path) -> None:
    made = make_warehouse(tmp_path)
    query = {"picture": made.queries["red"].read_bytes()}
    rows = tables_of(made)
    with served(made.uri, SETTINGS) as page:
        assert page.post("/api/sounds", query, top=1).status == 200
        made.write_collection(rows)  # the same rows: the next version all the same
        wait_until(lambda: page.post("/api/sounds", query, top=1).status == 409)
        said = page.get("/api/collection").values["error"]
        assert said == "the index is older than the collection; run `avlib index` again"
        manifest = Path(made.uri, "index", "default", "manifest.json")
        manifest.write_text(manifest.read_text().replace('"collection_version": 0', '"collection_version": 1'))
        assert page.post("/api/sounds", query, top=1).status == 200
        manifest.write_text(manifest.read_text().replace('"collection_version": 1', '"collection_version": 2'))
    with served(made.uri, SETTINGS) as page:
        reply = page.post("/api/sounds", query, top=1)
        assert (reply.status, reply.values["error"].split(";")[0]) == (409, "the index is newer than the collection")
        manifest.write_text("{")
        reply = page.post("/api/sounds", query, top=1)
        assert reply.status == 409
        assert_plain(reply.values["error"])


def test_an_empty_collection_is_said(tmp_path: Path) -> None:
    made = make_warehouse(tmp_path)
    manifest = Path(made.uri, "index", "default", "manifest.json")
    text = manifest.read_text()
    begin, end = text.index('"shards": ['), text.rindex("]")
    manifest.write_text(text[:begin] + '"shards": [' + text[end:])
    with served(made.uri, SETTINGS) as page:
        reply = page.post("/api/sounds", {"picture": made.queries["red"].read_bytes()})
        assert reply.status == 409
        assert reply.values["error"].startswith("the collection default is empty")


def tables_of(made: SmallWarehouse) -> pa.Table:
    return Warehouse(made.uri).open(tables.COLLECTION).to_pyarrow_table()


def wait_until(happens: Callable[[], bool]) -> None:
    for _ in range(40):
        if happens():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")
