"""When the index stage does nothing: only where a whole index of the collection as it is now is there. No Spark."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from small_warehouse import SmallWarehouse, make_warehouse

from avlib.errors import WarehouseError
from avlib.spark import index


@dataclass(frozen=True)
class StandIn:
    """What the stage asks of a store before it decides."""

    warehouse: str
    collection_id: str
    name: str = "default"

    def read(self, table: object) -> None:
        return None

    def version(self, table: object) -> int:
        return 0

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
