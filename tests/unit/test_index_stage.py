"""When the index stage does nothing: only where a whole index of the collection as it is now is there. No Spark."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import deltalake
import pytest
from small_warehouse import SmallWarehouse, make_warehouse

from avlib import tables
from avlib.errors import WarehouseError
from avlib.retrieval.suggest import NotReadyError, Suggester
from avlib.spark import index
from avlib.table_log import Commit, last_change
from avlib.warehouse import Warehouse


@dataclass(frozen=True)
class StandIn:
    """What the stage asks of a store before it decides."""

    warehouse: str
    collection_id: str
    name: str = "default"

    def claim(self, work: str) -> AbstractContextManager[None]:
        return nullcontext()

    def read(self, table: object) -> None:
        return None

    def version(self, table: tables.Table) -> int:
        return deltalake.DeltaTable(table.path(self.warehouse, self.name)).version()

    def last_change(self, table: tables.Table) -> Commit | None:
        return last_change(table.path(self.warehouse, self.name), self.version(table))

    def table_id(self, table: object) -> str:
        return self.collection_id


class _AnewError(Exception):
    """The index is made anew."""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWarehouse:
    def anew(*_: object, **__: object) -> None:
        raise _AnewError

    monkeypatch.setattr(index, "_audio", lambda *_: "audio_mfcc65")
    monkeypatch.setattr(index, "latest_stats_version", lambda *_: 0)
    monkeypatch.setattr(index, "Work", anew)
    return make_warehouse(tmp_path)


def run(made: SmallWarehouse) -> None:
    index.run(StandIn(made.uri, made.collection_id), made.settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("audio", "learned_s", "refused"),
    [
        ("audio_learned", 0.0, False),
        ("audio_learned", 20.0, True),
        ("audio_learned", 5.0, True),
        ("audio_learned", None, False),
        ("audio_mfcc65", 20.0, False),
    ],
)
def test_sounds_of_another_network_are_not_mixed(
    audio: str, learned_s: float | None, refused: bool, made: SmallWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filter began at 10 s; learning takes 6 s."""
    begin = datetime(2026, 1, 1)
    runs = {("filter", "default"): {"started": begin + timedelta(seconds=10), "seconds": 30.0}}
    if learned_s is not None:
        runs["learn", ""] = {"started": begin + timedelta(seconds=learned_s), "seconds": 6.0}
    monkeypatch.setattr(index, "newest_record", lambda store, stage, name="": runs.get((stage, name)))
    monkeypatch.setattr(index, "_audio", lambda *_: audio)
    monkeypatch.setattr(index, "latest_stats_version", lambda *_: 1)
    said = "learned anew since; run `avlib filter --name default` again" if refused else ""
    with pytest.raises(WarehouseError if refused else _AnewError, match=said or None):
        run(made)


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_an_index_that_is_not_whole_is_made_anew(
    damage: str, made: SmallWarehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    run(made)
    assert "nothing has changed" in "".join(capsys.readouterr())
    file = next(Path(made.uri, "index").rglob("v0*/*"))
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-9] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(_AnewError):
        run(made)
    assert "missing or damaged" in "".join(capsys.readouterr())


def test_a_vacuum_leaves_the_index_up_to_date(made: SmallWarehouse, capsys: pytest.CaptureFixture[str]) -> None:
    place = tables.COLLECTION.path(made.uri, "default")
    manifest = Path(made.uri, "index", "default", "manifest.json")

    def vacuum() -> int:
        collection = deltalake.DeltaTable(place)
        collection.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
        return collection.version()

    rows = deltalake.DeltaTable(place).to_pyarrow_table()
    made.write_collection(rows)
    manifest.write_text(manifest.read_text().replace('"collection_version": 0', '"collection_version": 1'))
    vacuumed = vacuum()
    assert vacuumed > 1
    for indexed in (1, vacuumed):  # before, and between one and the next
        manifest.write_text(manifest.read_text().replace('"collection_version": 1', f'"collection_version": {indexed}'))
        assert vacuum() > indexed
        run(made)
        assert "nothing has changed" in "".join(capsys.readouterr())
        Suggester(Warehouse(made.uri), made.settings.suggest).check()
    made.write_collection(rows)
    vacuum()
    with pytest.raises(_AnewError):
        run(made)
    with pytest.raises(NotReadyError, match="older than the collection"):
        Suggester(Warehouse(made.uri), made.settings.suggest)
