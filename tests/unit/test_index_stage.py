"""When the index stage does nothing: only where a whole index of the collection as it is now is there. No Spark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from small_warehouse import SmallWarehouse, make_warehouse

from avlib.spark import index


@dataclass(frozen=True)
class StandIn:
    """What the stage asks of a store before it decides."""

    warehouse: str
    name: str = "default"

    def read(self, table: object) -> None:
        return None

    def version(self, table: object) -> int:
        return 0


class _AnewError(Exception):
    """The index is made anew."""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallWarehouse:
    def anew(*_: object) -> None:
        raise _AnewError

    monkeypatch.setattr(index, "_audio", lambda *_: "audio_mfcc65")
    monkeypatch.setattr(index, "latest_stats_version", lambda *_: 0)
    monkeypatch.setattr(index, "Recorder", anew)
    return make_warehouse(tmp_path)


def run(made: SmallWarehouse) -> None:
    index.run(StandIn(made.uri), made.settings)  # type: ignore[arg-type]


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
