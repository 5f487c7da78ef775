"""Descriptors read by tasks from Parquet files: those of the rows that are asked for, and no others; no Spark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from s3_server import serve_s3

from avlib.errors import WarehouseError
from avlib.spark.descriptor_files import FILE, DescriptorFiles
from avlib.tables import DESCRIPTOR

NAMES = ("a.parquet", "b.parquet")


def table(*, seed: int, rows: int = 40) -> pa.Table:
    """Two attempts at some samples, in no order, with descriptors of several dimensions."""
    random = np.random.default_rng(seed)
    keys = random.permutation([(sample, attempt) for sample in range(rows // 2) for attempt in (1, 2)])
    visual = [random.normal(size=random.integers(1, 5)).astype(np.float32) for _ in keys]
    return pa.table(
        {
            "sample_id": pa.array(keys[:, 0] + 1000 * seed, pa.int64()),
            "attempt": pa.array(keys[:, 1], pa.int32()),
            "visual": pa.array(visual, DESCRIPTOR),
            "sound": pa.array([row[:1] for row in visual], DESCRIPTOR),
        }
    )


def write(folder: str, *, rows_a_group: int) -> list[pa.Table]:
    written = [table(seed=seed) for seed in range(len(NAMES))]
    for name, one in zip(NAMES, written, strict=True):
        parquet.write_table(one, f"{folder}/{name}", row_group_size=rows_a_group)
    return written


def asked(written: list[pa.Table], picked: dict[int, list[int]], *, others: int = 7) -> list[pa.RecordBatch]:
    """Rows of the files, the picked ones of each, in turns, some to a batch."""
    rows = [
        {name: written[file][name][at].as_py() for name in ("sample_id", "attempt")} | {FILE: NAMES[file]}
        for file, positions in picked.items()
        for at in positions
    ]
    schema = pa.schema([("sample_id", pa.int64()), ("attempt", pa.int32()), (FILE, pa.string()), ("n", pa.int64())])
    numbered = [row | {"n": number} for number, row in enumerate(rows)]
    mixed = [numbered[at] for at in np.random.default_rng(0).permutation(len(numbered))]
    return pa.Table.from_pylist(mixed, schema).to_batches(max_chunksize=others)


FILES = {"visual": "visual", "audio": "sound"}


@given(
    st.integers(1, 50),
    st.tuples(*[st.lists(st.integers(0, 39), unique=True, max_size=40)] * 2),
    st.sampled_from([1, 7, 100]),
)
def test_each_row_gets_its_own_descriptors(
    tmp_path_factory: pytest.TempPathFactory, rows_a_group: int, picked: tuple[list[int], list[int]], chunk: int
) -> None:
    folder = str(tmp_path_factory.mktemp("files"))
    written = write(folder, rows_a_group=rows_a_group)
    # Of one attempt alone, as those that count.
    of_attempt = [
        [at for at in one if whole["attempt"][at].as_py() == 2] for one, whole in zip(picked, written, strict=True)
    ]
    given = asked(written, dict(enumerate(of_attempt)), others=chunk)
    found = [row for batch in DescriptorFiles(folder, FILES).described(given) for row in batch.to_pylist()]
    wanted = [(file, at) for file, positions in enumerate(of_attempt) for at in positions]
    assert sorted(row["n"] for row in found) == list(range(len(wanted)))
    for row in found:
        file, at = wanted[row["n"]]
        expected = {name: written[file][name][at].as_py() for name in written[file].schema.names}
        assert (row["sample_id"], row["attempt"]) == (expected["sample_id"], expected["attempt"])
        assert (row["visual"], row["audio"]) == (expected["visual"], expected["sound"])


def test_many_rows_of_a_group_come_in_pieces(tmp_path: Path) -> None:
    whole = table(seed=0, rows=20_000)
    parquet.write_table(whole, tmp_path / NAMES[0])
    rows = whole.select(["sample_id", "attempt"]).append_column(FILE, pa.array([NAMES[0]] * len(whole)))
    rows = rows.filter(pa.compute.equal(rows["attempt"], 1))
    batches = list(DescriptorFiles(str(tmp_path), FILES).described(rows.to_batches()))
    assert max(batch.num_rows for batch in batches) <= 2048 and len(batches) > 9
    key = [("sample_id", "ascending"), ("attempt", "ascending")]
    expected = whole.filter(pa.compute.equal(whole["attempt"], 1)).sort_by(key)
    assert pa.Table.from_batches(batches).sort_by(key)["visual"].to_pylist() == expected["visual"].to_pylist()


def test_no_rows_no_files() -> None:
    assert list(DescriptorFiles("/nowhere", FILES).described([])) == []


def test_a_file_that_cannot_be_read_and_rows_that_are_not_there_once_are_told(tmp_path: Path) -> None:
    written = write(str(tmp_path), rows_a_group=9)
    files, place = DescriptorFiles(str(tmp_path), FILES), tmp_path / NAMES[1]
    given = asked(written, {0: [1, 2], 1: [3]})
    whole = place.read_bytes()
    place.write_bytes(whole[:-100])
    with pytest.raises(WarehouseError, match=r"b\.parquet cannot be read by a task: .*; every machine has to see"):
        list(files.described(given))
    place.unlink()
    with pytest.raises(WarehouseError, match=r"b\.parquet cannot be read by a task: .*; every machine has to see"):
        list(files.described(given))
    given = asked(written, {1: [3, 5]})
    doubled = pa.concat_tables([written[1].slice(0, 5), written[1].slice(6), written[1].slice(3, 1)])
    for other, wrong in ((written[0], 2), (pa.concat_tables([written[1]] * 2), 2), (doubled, 2), (doubled[:-1], 1)):
        parquet.write_table(other, place)
        with pytest.raises(WarehouseError, match=rf"b\.parquet: {wrong} samples are missing, or there twice"):
            list(files.described(given))


def test_groups_that_cannot_have_a_row_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table(seed=0, rows=90).sort_by("sample_id")
    parquet.write_table(whole, tmp_path / NAMES[0], row_group_size=10)
    read = list[list[int]]()
    ask = parquet.ParquetFile.read_row_groups

    def noted(file: parquet.ParquetFile, groups: list[int], **more: object) -> pa.Table:
        read.append(groups)
        return ask(file, groups, **more)

    monkeypatch.setattr(parquet.ParquetFile, "read_row_groups", noted)
    given = asked([whole], {0: [34, 71, 79]})
    found = [row for batch in DescriptorFiles(str(tmp_path), FILES).described(given) for row in batch.to_pylist()]
    assert read == [[3, 7]] and len(found) == 3


def test_files_on_s3(tmp_path: Path) -> None:
    written = write(str(tmp_path), rows_a_group=9)
    with pytest.MonkeyPatch.context() as monkeypatch, serve_s3(monkeypatch):
        system, path = pa.fs.FileSystem.from_uri("s3://videos/samples")
        pa.fs.copy_files(str(tmp_path), path, destination_filesystem=system)
        given = asked(written, {0: [30, 2], 1: [5]})
        found = [
            row for batch in DescriptorFiles("s3://videos/samples", FILES).described(given) for row in batch.to_pylist()
        ]
    expected = [written[0]["visual"][30], written[0]["visual"][2], written[1]["visual"][5]]
    assert [row["visual"] for row in sorted(found, key=lambda row: row["n"])] == [one.as_py() for one in expected]
