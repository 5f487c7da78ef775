"""The plan as a whole: tables, stages, the method of each step, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from avlib.errors import ParameterError
from avlib.planning.cost import Choice, choose_method, fitting_rows
from avlib.planning.sizes import BARE_BYTES, TableSize, table_sizes
from avlib.planning.stages import (
    DESCRIBE_OF_ITS_PARTS,
    EDGE_BYTES,
    PACKED_BYTES_PER_S,
    ROWS_PER_S,
    SPARKS_OWN_S,
    TO_PYTHON_BYTES_PER_S,
    Given,
    Stage,
    knn_cost,
    stages,
)

_NETWORK_GBIT_PER_S = 10


@dataclass(frozen=True)
class Plan:
    """A calculation from counts, and from rates where they are known. Nothing of it was run.

    choices: of each step, in order.  notes: what the hours lean on or lack.  warnings: what will not work as set.
    """

    given: Given
    tables: tuple[TableSize, ...]
    stages: tuple[Stage, ...]
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def hours(self) -> float | None:
        """Of all stages; None where some stage's are not known."""
        seconds = [stage.seconds for stage in self.stages]
        return None if None in seconds else sum(filter(None, seconds)) / 3600

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        given = self.given
        return {
            "calculated": True,
            "collection": asdict(given.collection) | {"samples": given.samples},
            "cluster": asdict(given.cluster) | {"task_bytes": given.cluster.task_bytes},
            "descriptors": asdict(given.descriptors),
            "strategy": given.settings.filter.strategy,
            "tables": [asdict(table) for table in self.tables],
            "stages": [asdict(stage) for stage in self.stages],
            "methods": [choice._asdict() for choice in self.choices],
            "hours": self.hours,
            "rates": given.known and given.known.model_dump(),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def make_plan(given: Given) -> Plan:
    """Calculate it.

    Raises ParameterError where the first step asks for more neighbors than there are samples, or for a largest_share
    that is no share.
    """
    if not 0 < given.largest_share <= 1:
        raise ParameterError("--largest-share", given.largest_share, "a share of the samples, above 0 and at most 1")
    first = given.settings.filter.steps[0]
    if first.k >= given.samples:
        raise ParameterError("knn.k", first.k, f"k below the number of samples, {given.samples}; lower k or add videos")
    choices = tuple(_choice(given, step) for step in range(len(given.settings.filter.steps)))
    asked = tuple(_asked(given, dims).method for dims in (given.short.visual, given.short.audio))
    planned = stages(given, tuple(choice.method for choice in choices), asked)
    return Plan(
        given,
        table_sizes(given.samples, given.descriptors, given.settings),
        planned,
        choices,
        tuple(_notes(given, planned)),
        tuple(_warnings(given, planned)),
    )


def _choice(given: Given, step: int) -> Choice:
    """What knn.method takes for a step."""
    k, scope = given.settings.filter.steps[step].k, given.scope(step)
    if step and scope <= given.settings.knn.block_rows:
        return Choice("exact", f"its largest component of {scope:,} samples fits a block")
    return _of_many(given, scope, given.dims(step), k)


def _asked(given: Given, dims: int) -> Choice:
    """What knn.method takes for the companions of agreement, by descriptors of so many numbers."""
    return _of_many(given, given.samples, dims, min(given.settings.agreement.neighbors, given.samples))


def _of_many(given: Given, samples: int, dims: int, k: int) -> Choice:
    """By nominal rates, as the job, which knows no others."""
    knn = given.settings.knn
    if knn.method != "auto":
        return Choice(knn.method, f"knn.method = {knn.method}")
    return choose_method(samples, dims, k, given.layout, recall=knn.recall, shape=given.shape)


def _notes(given: Given, planned: tuple[Stage, ...]) -> Iterator[str]:
    known, steps = given.known, len(given.settings.filter.steps)
    yield "mutual_edges and what follows are the most there can be: no sample dropped, every neighbor a mutual one"
    if steps > 1 and given.largest_share == 1:
        yield "later steps count as if all samples were one component; --largest-share says otherwise"
    if given.settings.filter.scored:
        yield "the steps after agreement count as if all samples agreed"
    cells = given.shape
    yield (
        f"cells: how far the job will probe for the recall asked for is guessed ({cells.members} members, "
        f"{cells.nprobe} probed)"
    )
    if known is None:
        yield "no rates, so no hours: run avlib plan --calibrate for hours; methods were picked at nominal rates"
        return
    yield f"rates: one core of {known.machine}, {known.date}"
    yield f"of Spark's and Delta's own time hours hold {SPARKS_OWN_S:g} s a stage, of agreement three times as much"
    yield (
        f"and its tasks take {ROWS_PER_S:,} rows of edges, or {TO_PYTHON_BYTES_PER_S / 1e6:g} MB of descriptors, in "
        f"kNN {PACKED_BYTES_PER_S / 1e6:g}, a second, as was seen, too"
    )
    yield f"describe is counted as {DESCRIBE_OF_ITS_PARTS:g} times its parts, as was seen on 2 cores"
    crossing_bytes = sum(stage.read_bytes + stage.shuffle_bytes for stage in planned)
    crossing_h = crossing_bytes / given.cluster.machines / (_NETWORK_GBIT_PER_S * 1e9 / 8) / 3600
    yield (
        f"hours lack the network: what is read and shuffled takes {crossing_h:.2g} more over {_NETWORK_GBIT_PER_S} "
        "Gbit/s a machine; and the videos on their way in"
    )
    unlike = known.describe.unlike(given.settings.describe)
    if unlike:
        yield f"describe has no hours: rates are of other settings; run avlib plan --calibrate --set {unlike}"
    if given.cluster.gpus and known.describe.gpu_pictures_per_s is None:
        yield "the rates know no GPU: pictures are counted on the cores; calibrate where there is one"
    if given.cluster.gpus:
        yield "kNN is counted on the cores"


def _warnings(given: Given, planned: tuple[Stage, ...]) -> Iterator[str]:
    settings, slots = given.settings, given.cluster.slots
    for stage in planned:
        room = BARE_BYTES + given.layout.task_bytes if stage.method else given.cluster.task_bytes
        if stage.task_bytes is not None and stage.task_bytes > room:
            need = f"{stage.name}: a task needs {stage.task_bytes / 1e9:.2f} GB, and has {room / 1e9:.2f} GB"
            yield f"{need}; {_remedy(given, stage)}"
        if stage.stage == "knn" and stage.step is not None and stage.method == "cells":
            shared = knn_cost(given, stage.step, "cells").shared_bytes
            if shared > given.cluster.memory_gb * 1e9 / 4:
                yield f"{stage.name}: every machine maps {shared / 1e9:.1f} GB of cells' centers besides"
    in_batch = min(settings.describe.batch_videos, given.collection.videos)
    if in_batch < slots and in_batch < given.collection.videos:
        yield (
            f"describe: batches of {in_batch:,} videos leave {slots - in_batch:,} of {slots:,} cores idle; "
            f"--set describe.batch_videos={16 * slots} keeps all busy"
        )


def _remedy(given: Given, stage: Stage) -> str:
    room = given.cluster.task_bytes - BARE_BYTES
    fewer = "give a machine more memory, or its tasks fewer cores"
    match stage.stage:
        case "knn" if stage.method == "exact":
            assert stage.step is not None
            k = given.settings.filter.steps[stage.step].k
            rows = fitting_rows(given.dims(stage.step), k, task_bytes=given.layout.task_bytes)
            asked = min(given.settings.knn.block_rows, given.samples)
            return f"of knn.block_rows = {asked}, {rows} fit: --set knn.block_rows={rows}" if rows else fewer
        case "components":
            edges = int(room / EDGE_BYTES)
            return f"--set components.one_task_edges={edges} fits" if edges > 1_000_000 else fewer
        case "index":
            rows = int(room / 3 / given.descriptors.sample_bytes)
            return f"--set index.shard_rows={rows} fits" if rows > 0 else fewer
        case _:
            return fewer
