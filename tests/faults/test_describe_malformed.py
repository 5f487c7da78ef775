"""The describe stage on whatever there is: nothing is lost, nothing hangs, no job fails."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from faults_seed import faults_seed
from malformed import write_good, write_malformed
from pyspark.sql import SparkSession

from avlib import tables
from avlib.config import Settings, load_settings
from avlib.description import describe_video
from avlib.media import Decoder
from avlib.spark import describe, ingest
from avlib.spark.store import TableStore

pytestmark = [pytest.mark.spark, pytest.mark.faults]

INJECTED = Path(__file__).parent / "injected"
STALL_S, VIDEO_S = 5.0, 20.0
SEED = faults_seed()


def settings() -> Settings:
    return load_settings(
        assignments=[
            "describe.visual_model=hog_color",
            "describe.frame_stride=5",
            f"decode.stall_s={STALL_S}",
            f"decode.video_s={VIDEO_S}",
            "decode.memory_mb=1024",
        ]
    )


def described(store: TableStore, inputs: Path) -> dict[str, dict[str, object]]:
    ingest.run(store, settings(), [str(inputs)])
    describe.run(store, settings())
    videos = store.read(tables.VIDEOS).select("video_id", "uri")
    rows = videos.join(store.read(tables.DESCRIPTIONS), "video_id").collect()
    return {Path(row["uri"]).name: row.asDict() for row in rows}


@pytest.mark.parametrize("count", [140, pytest.param(1260, marks=pytest.mark.long)])
def test_malformed_videos(spark: SparkSession, tmp_path: Path, count: int) -> None:
    good = write_good(tmp_path)
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    made = write_malformed(good, inputs, count=count, seed=SEED)
    started = time.monotonic()
    store = TableStore(spark, str(tmp_path / "warehouse"))
    found = described(store, inputs)
    seconds = time.monotonic() - started
    assert set(found) == {path.name for path in made}
    outcomes = Counter(str(row["status"]) for row in found.values())
    errors = Counter(str(row["error_class"]) for row in found.values())
    print(f"\n{count} malformed videos, seed {SEED}, {seconds:.0f} s: {dict(outcomes)}; {dict(errors)}")
    assert sum(outcomes.values()) == count
    assert not errors["internal"], [row for row in found.values() if row["error_class"] == "internal"]
    # 2 tasks at a time; none may take longer than its limits allow
    assert seconds < 60 + count * 0.5 + errors["stalled"] * STALL_S + errors["timeout"] * VIDEO_S
    assert describe.check_invariant(store).startswith(f"{count} videos = ")
    kept = [row for row in found.values() if row["status"] in ("ok", "partial")]
    assert len(kept) > count / 5
    assert all(row["error"] for row in found.values() if row["status"] != "ok")


@pytest.mark.parametrize(
    ("seed", "count", "name"),
    [
        (397396918, 140, "00075-bits.ts"),  # a transport stream whose pictures turn into something else midway
        (669453871, 829, "00828-bits.mkv"),  # its header asks for what FFmpeg does not know
    ],
)
def test_what_draws_have_found(seed: int, count: int, name: str, tmp_path: Path, decoder: Decoder) -> None:
    (tmp_path / "inputs").mkdir()
    write_malformed(write_good(tmp_path), tmp_path / "inputs", count=count, seed=seed)
    steps = describe_video(decoder.open(tmp_path / "inputs" / name), settings().describe)
    with pytest.raises(StopIteration) as ended:
        while True:
            next(steps)
    assert ended.value.value.error_class not in ("internal", "unreadable"), ended.value.value.error


def test_faults_among_good_videos(spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = write_good(tmp_path)[0].read_bytes()
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    faults = {"sleeps": "stalled", "holds": "stalled", "hogs": "memory_limit", "crashes": "crashed"}
    faults |= {"late-crashes": "crashed"}
    for number, fault in enumerate(["", *faults, "", ""]):
        # of another size each, so that none counts as another's duplicate
        (inputs / f"{number}{fault}.mp4").write_bytes(good + bytes(8 + number))
    monkeypatch.setitem(spark.sparkContext.environment, "PYTHONPATH", str(INJECTED))
    found = described(TableStore(spark, str(tmp_path / "warehouse")), inputs)
    classes = {Path(name).stem.strip("0123456789"): row["error_class"] for name, row in found.items()}
    assert classes == faults | {"": None}
    whole = [row["samples"] for row in found.values() if row["status"] == "ok"]
    assert len(whole) == 3 and len(set(whole)) == 1 and np.min(whole) > 0
