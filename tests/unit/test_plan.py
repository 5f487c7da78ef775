"""The plan: counts, table sizes, stages, and what it says does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from avlib import tables
from avlib.config import Settings, load_settings
from avlib.errors import ConfigError, ParameterError
from avlib.planning import NOMINAL, Calibration, exact_cost
from avlib.planning.pictures import PictureModel, picture_model
from avlib.planning.plan import Plan, make_plan
from avlib.planning.rates import DescribeRates
from avlib.planning.sizes import BARE_BYTES, Cluster, Collection, Descriptors, table_sizes
from avlib.planning.stages import Given
from avlib.planning.text import plan_as_text

MODEL = PictureModel(1024, 113_000_000)
CLUSTER = Cluster(10, 16, 64)

SPARKS_OWN_S = 4.0


def calibration(**describe: object) -> Calibration:
    values: dict[str, object] = {
        "s_per_video_minute": 1.2,
        "pictures_per_s": 500.0,
        "visual_model": "mobilenet_v3_small",
        "picture_size_px": 224,
        "frame_rate_hz": 25.0,
        "frame_stride": 1,
    }
    rates = DescribeRates(**(values | describe))  # type: ignore[arg-type]
    return Calibration(rates=NOMINAL, describe=rates, machine="a machine", date="a day", versions={"numpy": "2"})


def given(*assignments: str, videos: int = 10_000, known: Calibration | None = None, **values: object) -> Given:
    settings = load_settings(assignments=["filter.strategy=V+A", *assignments])
    whole = Given(Collection(videos, 60), settings, CLUSTER, MODEL, known)
    return replace(whole, **values)  # type: ignore[arg-type]


def seconds(plan: Plan, name: str) -> float:
    found = next(stage.seconds for stage in plan.stages if stage.name == name)
    assert found is not None
    return found


def test_samples_are_loud_frames_on_the_stride() -> None:
    def samples(settings: Settings, kept_share: float = 0.5) -> int:
        return Collection(100, 60, kept_share).samples(settings)

    assert samples(load_settings()) == 100 * 60 * 25 // 2
    assert samples(load_settings(assignments=["describe.frame_stride=5"])) == 100 * 60 * 5 // 2
    assert samples(load_settings(), kept_share=0.2) == 100 * 60 * 25 // 5


def stored_bytes(columns: dict[str, pa.Array], table: tables.Table, folder: Path) -> int:
    """Of a table of these columns, as Spark's Parquet writer encodes them: a dictionary only where it pays."""
    fields = [table.schema.field(name) for name in columns]
    rows = pa.table(list(columns.values()), schema=pa.schema(fields))
    pq.write_table(rows, folder / f"{table.name}.parquet", compression="snappy", use_dictionary=["step", "attempt"])
    return (folder / f"{table.name}.parquet").stat().st_size


def lists_of(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    offsets = pa.array(np.arange(0, values.size + 1, values.shape[1], dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()), type=kind)


def test_tables_are_as_large_as_real_ones(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n, k, two_steps = 5_000, 20, load_settings(assignments=["filter.strategy=V+A"])
    sizes = {size.table: size for size in table_sizes(n, Descriptors(576, 65, 65 + 80), two_steps)}
    visual, audio, context = (rng.random((n, d), np.float32) for d in (576, 65, 80))
    ids = np.sort(rng.integers(0, 2**40, n))
    samples = {
        "sample_id": pa.array(ids),
        "attempt": pa.array(np.ones(n, np.int32)),
        "time_s": pa.array(rng.random(n)),
        "rms": pa.array(rng.random(n, np.float32)),
        "visual": lists_of(visual, tables.DESCRIPTOR),
        "audio_mfcc65": lists_of(audio, tables.DESCRIPTOR),
        "audio_context": lists_of(context, tables.DESCRIPTOR),
    }
    # What floats take is what counts; Parquet says how long each list is, and marks pages, besides.
    assert stored_bytes(samples, tables.SAMPLES, tmp_path) == pytest.approx(sizes["samples"].bytes, rel=0.05)
    neighbors = {
        "step": pa.array(np.zeros(n, np.int32)),
        "sample_id": pa.array(ids),
        "neighbor_ids": lists_of(rng.choice(2**40, (n, k)), tables.IDS),
        "distances": lists_of(rng.random((n, k), np.float32), tables.DESCRIPTOR),
    }
    assert sizes["neighbors"].rows == 2 * n  # of both steps
    assert stored_bytes(neighbors, tables.NEIGHBORS, tmp_path) == pytest.approx(sizes["neighbors"].bytes / 2, rel=0.1)
    edges = n * k // 2
    src = np.sort(rng.choice(ids, edges))
    mutual = {
        "step": pa.array(np.zeros(edges, np.int32)),
        "src": pa.array(src),
        "dst": pa.array(rng.choice(2**40, edges)),
        "distance": pa.array(rng.random(edges, np.float32)),
    }
    assert sizes["mutual_edges"].rows == 2 * edges
    assert stored_bytes(mutual, tables.MUTUAL_EDGES, tmp_path) <= sizes["mutual_edges"].bytes / 2
    assert sizes["components"].bytes == 2 * n * 16
    assert sizes["samples"].bytes > sizes["collection"].bytes > n * 4 * (576 + 65)


@pytest.mark.parametrize(
    ("model", "dims", "flops"),
    # Multiply-adds as torchvision lists them (GFLOPS there), twice, and less the last layer's.
    [("mobilenet_v3_small", 1024, 0.113e9), ("mobilenet_v2", 1280, 0.602e9), ("alexnet", 4096, 1.42e9)],
)
def test_a_picture_model_is_known_without_weights(model: str, dims: int, flops: float) -> None:
    found = picture_model(load_settings(assignments=[f"describe.visual_model={model}"]).describe)
    assert found.dims == dims
    assert found.flops == pytest.approx(flops, rel=0.03)


def test_models_that_cannot_be() -> None:
    assert picture_model(load_settings(assignments=["describe.visual_model=hog_color"]).describe).flops == 0
    with pytest.raises(ConfigError, match=r"describe\.visual_model = mobilnet is unknown"):
        picture_model(load_settings(assignments=["describe.visual_model=mobilnet"]).describe)
    tiny = ["describe.visual_model=alexnet", "describe.picture_size_px=32"]
    with pytest.raises(ConfigError, match=r"describe\.picture_size_px = 32: alexnet"):
        picture_model(load_settings(assignments=tiny).describe)


def test_stages_in_order_and_their_work() -> None:
    plan = make_plan(given("knn.method=exact"))
    assert [stage.name for stage in plan.stages] == [
        "describe",
        *(f"{stage}, step {step}" for step in (0, 1) for stage in ("knn", "mutual_edges", "components")),
        "collection",
        "index",
    ]
    assert plan.stages[0].flops == 7_500_000 * 113_000_000
    knn = [stage for stage in plan.stages if stage.stage == "knn"]
    assert [stage.method for stage in knn] == ["exact", "exact"]
    assert knn[0].flops / knn[1].flops == pytest.approx(1024 / 65)  # each step weighs one modality
    layout = plan.given.layout
    assert knn[0].flops == exact_cost(7_500_000, 1024, 20, layout).flops
    assert all(choice.reason == "knn.method = exact" for choice in plan.choices)
    joint = make_plan(given("knn.method=exact", 'filter.strategy="joint"'))
    assert joint.stages[1].flops == exact_cost(7_500_000, 1089, 20, layout).flops


def test_agreement_is_two_searches_among_short_descriptors() -> None:
    asked = given("filter.strategy=agreement", "knn.method=exact", videos=100, known=calibration())
    found = next(stage for stage in make_plan(asked).stages if stage.stage == "agreement")
    assert [stage.stage for stage in make_plan(asked).stages][:3] == ["describe", "agreement", "knn"]
    costs = [exact_cost(asked.samples, dims, 12, asked.layout) for dims in (128, 60)]
    assert found.flops == sum(cost.flops for cost in costs) + 2 * asked.samples * 400 * 188
    assert found.tasks == sum(cost.tasks for cost in costs) and found.seconds is not None
    more = given("filter.strategy=agreement", "agreement.neighbors=24", "knn.method=exact", videos=100)
    wider = next(stage for stage in make_plan(more).stages if stage.stage == "agreement")
    assert wider.shuffle_bytes > 1.5 * found.shuffle_bytes and wider.seconds is None
    assert "agreement" not in {stage.stage for stage in make_plan(given("filter.strategy=V+A")).stages}


def test_few_samples_are_packed_by_tasks_that_each_read_all() -> None:
    near, wide = (given("knn.method=exact", videos=100, cluster=Cluster(1, cores, 64)) for cores in (2, 16))
    found, shuffled = (next(one for one in make_plan(of).stages if one.name == "knn, step 0") for of in (near, wide))
    rows, dims = near.samples * near.descriptors.sample_bytes, near.dims(0)
    assert shuffled.shuffle_bytes == shuffled.list_bytes + rows and found.shuffle_bytes == found.list_bytes
    assert found.read_bytes == exact_cost(near.samples, dims, 20, near.layout).read_bytes + 2 * rows
    assert found.task_bytes > near.samples / 2 * 4 * dims > shuffled.task_bytes - BARE_BYTES


def test_smaller_components_cost_less() -> None:
    whole, half, none = (make_plan(given(largest_share=share)) for share in (1.0, 0.5, 1e-9))
    flops = [next(stage.flops for stage in plan.stages if stage.name == "knn, step 1") for plan in (whole, half, none)]
    assert flops[0] > flops[1] > flops[2]
    first = {next(stage.flops for stage in plan.stages if stage.name == "knn, step 0") for plan in (whole, half, none)}
    assert len(first) == 1  # the first step knows no components
    assert none.choices[1].method == "exact" and "fits a block" in none.choices[1].reason


def test_hours_by_hand() -> None:
    # 10,000 videos in 10 batches of 1,000 on 160 slots: seven turns of tasks, the last not full.
    plan = make_plan(given(known=calibration()))
    video_s = 1.2 + 750 / 500
    rows = 7_500_000 * plan.given.descriptors.sample_bytes
    disks_s = (rows / NOMINAL.read_bytes_per_s + 2 * rows / NOMINAL.write_bytes_per_s) / 10
    assert seconds(plan, "describe") == pytest.approx(SPARKS_OWN_S + 1.3 * 10 * 7 * video_s + disks_s)
    ends, edges = 7_500_000 * 20, 7_500_000 * 10
    found = next(stage for stage in plan.stages if stage.name == "mutual_edges, step 0")
    disks_s = (found.read_bytes + found.shuffle_bytes) / NOMINAL.read_bytes_per_s / 10
    disks_s += (found.written_bytes + found.shuffle_bytes) / NOMINAL.write_bytes_per_s / 10
    of_rows_s = (ends + 2 * edges) / 400_000 / 160
    assert found.seconds == pytest.approx(SPARKS_OWN_S + of_rows_s + disks_s)
    assert plan.hours == pytest.approx(sum(stage.seconds or 0 for stage in plan.stages) / 3600)


def test_gpus_take_the_pictures_where_their_rate_is_known() -> None:
    cluster = replace(CLUSTER, gpus=4)
    on_cores = make_plan(given(known=calibration(), cluster=cluster))
    assert seconds(on_cores, "describe") == seconds(make_plan(given(known=calibration())), "describe")
    assert any("know no GPU" in note for note in on_cores.notes)
    on_gpus = make_plan(given(known=calibration(gpu_pictures_per_s=20_000.0), cluster=cluster))
    assert seconds(on_gpus, "describe") < seconds(on_cores, "describe")
    slow = make_plan(given(known=calibration(gpu_pictures_per_s=50.0), cluster=cluster))
    assert seconds(slow, "describe") >= 7_500_000 / 50 / 4


def test_rates_of_other_settings_give_describe_no_hours() -> None:
    plan = make_plan(given("describe.frame_stride=5", known=calibration()))
    assert plan.stages[0].seconds is None and plan.hours is None
    assert seconds(plan, "knn, step 0") > 0
    assert any("--calibrate --set describe.frame_stride=5" in note for note in plan.notes)


def test_without_rates_no_hours() -> None:
    plan = make_plan(given())
    assert all(stage.seconds is None for stage in plan.stages)
    assert plan.hours is None
    text = plan_as_text(plan)
    assert "run avlib plan --calibrate for hours" in " ".join(text.split())
    assert "in all: not known" in text


def test_a_block_that_does_not_fit() -> None:
    small = Cluster(10, 16, 5)  # 234 MB a task, 84 of them beside the bare process
    set_so = "knn.method=exact"
    plan = make_plan(given(set_so, "knn.block_rows=40000", cluster=small))
    warning = next(line for line in plan.warnings if line.startswith("knn, step 0"))
    rows = int(warning.rpartition("=")[2])
    assert 0 < rows < 40_000
    again = make_plan(given(set_so, f"knn.block_rows={rows}", cluster=small))
    assert not any(line.startswith("knn, step 0") for line in again.warnings)
    over = make_plan(given(set_so, f"knn.block_rows={rows + 10}", cluster=small))
    assert any(line.startswith("knn, step 0") for line in over.warnings)
    in_cells = make_plan(given("knn.method=cells", "knn.block_rows=40000", cluster=small, videos=1000))
    assert not any(line.startswith("knn, step 0") for line in in_cells.warnings)  # there groups are the blocks


def test_a_task_takes_what_knn_allows_though_there_be_more() -> None:
    plan = make_plan(given("knn.method=exact", "knn.block_rows=40000"))
    warning = next(line for line in plan.warnings if line.startswith("knn, step 0"))
    rows = int(warning.rpartition("=")[2])
    assert rows < 40_000  # which the job would refuse, too
    assert not any("knn" in line for line in make_plan(given("knn.method=exact", f"knn.block_rows={rows}")).warnings)
    with pytest.raises(ConfigError, match=r"--set knn.memory_mb=\d+ lets them take"):
        make_plan(given("knn.method=cells", videos=10_000_000))


def test_what_else_does_not_fit() -> None:
    plan = make_plan(given(cluster=Cluster(10, 16, 12), videos=1000))
    said = "\n".join(plan.warnings)
    assert "describe: a task needs" in said
    assert "components, step 0: a task needs 0.80 GB, and has 0.56 GB; --set components.one_task_edges=" in said
    edges = said.partition("one_task_edges=")[2].partition(" ")[0]
    fitted = make_plan(given(f"components.one_task_edges={edges}", cluster=Cluster(10, 16, 12), videos=1000))
    assert "components" not in "\n".join(fitted.warnings)


def test_batches_that_leave_cores_idle() -> None:
    plan = make_plan(given(cluster=Cluster(100, 16, 64)))
    assert any("leave 600 of 1,600 cores idle" in line for line in plan.warnings)
    assert not any("idle" in line for line in make_plan(given()).warnings)


def test_text_and_json_agree() -> None:
    plan = make_plan(given(known=calibration()))
    text = plan_as_text(plan)
    assert text.startswith("A calculation")
    assert "7,500,000 samples" in text
    assert all(len(line) <= 110 for line in text.splitlines())
    assert all(reason in " ".join(text.split()) for reason in (choice.reason for choice in plan.choices))
    values = json.loads(json.dumps(plan.as_json()))
    assert values["calculated"] is True
    assert values["collection"]["samples"] == 7_500_000
    assert [stage["seconds"] for stage in values["stages"]] == [stage.seconds for stage in plan.stages]
    assert [method["method"] for method in values["methods"]] == ["cells", "cells"]


def test_more_neighbors_than_samples() -> None:
    with pytest.raises(ParameterError, match="k below the number of samples, 750"):
        make_plan(given("knn.k=750", videos=1))
    with pytest.raises(ParameterError, match="--largest-share"):
        make_plan(given(largest_share=0.0))
