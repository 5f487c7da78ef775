"""What each stage takes: work, bytes, tasks, memory, and seconds where rates are known. Calculated, not measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from avlib.config import AudioDescriptor, Settings
from avlib.descriptors import HOG_COLOR, PICTURES_TOGETHER
from avlib.planning.cost import (
    CellShape,
    Cost,
    Layout,
    Method,
    cells_cost,
    exact_cost,
    list_bytes,
    packed_bytes,
    packing_readers,
    row_bytes,
    with_small_components,
)
from avlib.planning.pictures import PictureModel
from avlib.planning.rates import Calibration
from avlib.planning.sizes import BARE_BYTES, Cluster, Collection, Descriptors, most_edges

EDGE_BYTES = 130
"""Memory of contraction for an edge, seen."""

SPARKS_OWN_S = 4.0
"""Spark's and Delta's own time in a stage, however little there is to do: seen on 2 cores."""

DESCRIBE_OF_ITS_PARTS = 1.3
"""How many times as long the describe stage takes as its parts by themselves, over the cores: seen on 2 cores."""

ROWS_PER_S = 400_000
"""Rows of small columns, as an end of a listed pair, that one task takes through Spark's shuffles: seen."""

PACKED_BYTES_PER_S = 60e6
"""Descriptors that one task reads from samples' files, packs and sends through a shuffle into blocks: seen. Without the
shuffle it is more, by half or more."""

TO_PYTHON_BYTES_PER_S = 80e6
"""Descriptors that one task of Spark hands to Python: seen."""

_PARTS_OF_AGREEMENT = 3  # two searches, and scores: each as long as a stage

_DESCRIBE_TASKS_A_SLOT = 16  # at most, in a batch, as avlib.spark.store has it
_TASK_EDGES = 1_000_000  # of a task in a round, as avlib.spark.components has it
_ROUNDS = 3  # on graphs of nearest neighbors, seen
_TORCH_BYTES = 700_000_000  # seen
_COMPANION_BYTES = 24  # ids of a sample and of its companion, place, worth
_PICTURE_BYTES = 8_000_000  # in the network, of 224 × 224 pixels, seen: 2 to 7 MB


@dataclass(frozen=True)
class Given:
    """What is planned for, and known.  largest_share: of the samples, in the largest component of each step."""

    collection: Collection
    settings: Settings
    cluster: Cluster
    model: PictureModel
    known: Calibration | None = None
    largest_share: float = 1.0

    @property
    def samples(self) -> int:
        """Loud frames on the stride."""
        return self.collection.samples(self.settings)

    @property
    def descriptors(self) -> Descriptors:
        """Numbers of a sample."""
        dims = self._audio_dims
        stored = sum(dims[name] for name in ("audio_mfcc65", "audio_context"))
        return Descriptors(self.model.dims, dims[self.settings.filter.audio], stored)

    @property
    def _audio_dims(self) -> dict[AudioDescriptor, int]:
        describe = self.settings.describe
        return {
            "audio_mfcc65": len(describe.audio.window_frames) * describe.audio.n_mfcc,
            "audio_context": 4 * describe.audio_context.n_mfcc,
            "audio_learned": 2 * self.settings.learn.channels[-1],
        }

    @property
    def short(self) -> Descriptors:
        """Numbers of a sample as agreement compares it; nothing of it is stored with the samples."""
        wanted = self.settings.agreement
        sound = sum(min(wanted.sound_dimensions, self._audio_dims[name]) for name in wanted.audio)
        return Descriptors(min(wanted.picture_dimensions, self.model.dims), sound, 0)

    @property
    def layout(self) -> Layout:
        """Of a kNN step, which takes what knn.memory_mb allows, though a machine have more."""
        room = min(max(self.cluster.task_bytes - BARE_BYTES, 1), self.settings.knn.memory_mb << 20)
        return Layout(self.settings.knn.block_rows, self.cluster.slots, room)

    @property
    def shape(self) -> CellShape:
        """Of the cells."""
        return CellShape(members=self.settings.knn.cell_rows)

    def dims(self, step: int) -> int:
        """Numbers that a step weighs."""
        weights = self.settings.filter.steps[step]
        return self.descriptors.weighed(weights.w_V, weights.w_A)

    def scope(self, step: int) -> int:
        """Samples among which a step looks for neighbors: all, then those of the largest component."""
        return self.samples if step == 0 else max(1, round(self.samples * self.largest_share))


@dataclass(frozen=True)
class Stage:
    """One stage, of a step where it belongs to one.

    read_bytes, written_bytes: tables and blocks.  shuffle_bytes: with partial lists, list_bytes, among them.
    tasks, task_bytes: None where Spark decides, and spills.  seconds: None where a rate is not known; the network
    between machines is not in them.
    """

    stage: str
    step: int | None = None
    method: Method | None = None
    flops: float = 0
    read_bytes: float = 0
    written_bytes: float = 0
    list_bytes: float = 0
    shuffle_bytes: float = 0
    task_bytes: float | None = None
    tasks: int | None = None
    seconds: float | None = None

    @property
    def name(self) -> str:
        """For a reader."""
        return self.stage if self.step is None else f"{self.stage}, step {self.step}"


def stages(given: Given, methods: tuple[Method, ...], asked: tuple[Method, ...]) -> tuple[Stage, ...]:
    """All of them, in order.  methods: of the kNN of each step.  asked: of agreement's, by picture and by sound."""
    of_steps = [
        stage
        for step, method in enumerate(methods)
        for stage in (knn(given, step, method), mutual_edges(given, step), components(given, step))
    ]
    scored = (agreement(given, asked),) if given.settings.filter.scored else ()
    return (describe(given), *scored, *of_steps, collection(given), index(given))


def describe(given: Given) -> Stage:
    """describe, in batches. It has no seconds where rates were measured with other settings."""
    settings, videos, slots = given.settings.describe, given.collection, given.cluster.slots
    decoder_bytes = given.settings.decode.memory_mb << 20
    batches = math.ceil(videos.videos / settings.batch_videos)
    slices = videos.videos * math.ceil(videos.mean_s / settings.slice_s)
    tasks = min(math.ceil(slices / batches), _DESCRIBE_TASKS_A_SLOT * slots)
    sound_bytes = 2 * 4 * settings.audio.sr * min(videos.mean_s, settings.slice_s)
    pictures_bytes = PICTURES_TOGETHER * _PICTURE_BYTES * (settings.picture_size_px / 224) ** 2
    torch_bytes = 0 if settings.visual_model == HOG_COLOR else _TORCH_BYTES
    rows = given.samples * given.descriptors.sample_bytes
    stage = Stage(
        "describe",
        flops=given.samples * given.model.flops,
        read_bytes=rows,  # a batch is written, read back and appended
        written_bytes=2 * rows,
        task_bytes=BARE_BYTES + decoder_bytes + torch_bytes + sound_bytes + pictures_bytes,
        tasks=batches * tasks,
    )
    if given.known is None or given.known.describe.unlike(settings):
        return stage
    rates = given.known.describe
    core_s = videos.videos * videos.mean_s / 60 * rates.s_per_video_minute
    gpu_s = 0.0
    if given.cluster.gpus and rates.gpu_pictures_per_s:
        gpu_s = given.samples / rates.gpu_pictures_per_s / given.cluster.gpus
    else:
        core_s += given.samples / rates.pictures_per_s
    batch_s = _spread_s(core_s / batches, tasks, slots)  # a batch is done before the next begins
    cores_s = DESCRIBE_OF_ITS_PARTS * batches * batch_s
    return _timed(stage, max(cores_s, gpu_s), given)  # while some tasks wait for a GPU, others decode


def agreement(given: Given, methods: tuple[Method, ...]) -> Stage:
    """Short descriptors; companions by picture and by sound; what these are judged by goes to the samples; scores."""
    wanted, short, n, layout = given.settings.agreement, given.short, given.samples, given.layout
    asked, kinds = min(wanted.neighbors, n), (short.visual, short.audio)
    costs = [
        exact_cost(n, dims, asked, layout)
        if method == "exact"
        else cells_cost(n, dims, asked, layout, shape=given.shape)
        for dims, method in zip(kinds, methods, strict=True)
    ]
    views, lists = n * row_bytes(sum(kinds)), 2 * n * asked * _COMPANION_BYTES
    companions = lists + n * asked * 4 * sum(kinds)  # the sound of one kind, the picture of the other
    stage = Stage(
        "agreement",
        None,
        "exact" if set(methods) == {"exact"} else "cells",
        flops=sum(cost.flops for cost in costs) + 2 * n * wanted.references * sum(kinds),
        read_bytes=n * given.descriptors.sample_bytes + 5 * views + sum(c.read_bytes + c.moved_bytes for c in costs),
        written_bytes=2 * views + 2 * lists + sum(cost.written_bytes for cost in costs),
        list_bytes=sum(cost.list_bytes for cost in costs),
        shuffle_bytes=3 * views + 3 * lists + companions + sum(cost.list_bytes for cost in costs),
        task_bytes=BARE_BYTES + max(cost.task_bytes for cost in costs),
        tasks=sum(cost.tasks for cost in costs),
    )
    if given.known is None:
        return stage
    core_s = sum(_spread_s(cost.computing_s(given.known.rates), cost.tasks, given.cluster.slots) for cost in costs)
    judged = 4 * n * asked * wanted.references  # every companion among all references, below or equal, of both kinds
    timed = _timed(stage, core_s + judged / given.known.rates.folds_per_s / given.cluster.slots, given)
    assert timed.seconds is not None
    return replace(timed, seconds=timed.seconds + (_PARTS_OF_AGREEMENT - 1) * SPARKS_OWN_S)


def knn_cost(given: Given, step: int, method: Method) -> Cost:
    """Of a step's kNN: among all samples, or in the components of the step before, small ones as blocks."""
    k, dims = given.settings.filter.steps[step].k, given.dims(step)
    scope = given.scope(step)
    layout = given.layout
    if step and scope <= layout.block_rows:
        scope, method = min(given.samples, layout.block_rows), "exact"
    if method == "exact":
        cost = exact_cost(scope, dims, k, layout)
    else:
        cost = cells_cost(scope, dims, k, layout, shape=given.shape)
    return with_small_components(cost, given.samples - scope, dims, k, layout)


def knn(given: Given, step: int, method: Method) -> Stage:
    """Blocks are packed by a shuffle of the samples, or, where these are few, by tasks that read all of them; partial
    lists are merged by a shuffle.
    """
    cost, slots, layout = knn_cost(given, step, method), given.cluster.slots, given.layout
    rows = given.samples * given.descriptors.sample_bytes
    blocks = math.ceil(given.samples / layout.block_rows)
    readers = 0 if cost.method == "cells" else packing_readers(blocks, given.dims(step), layout)
    a_reader = min(given.samples, math.ceil(blocks / readers) * layout.block_rows) if readers else 0
    stage = Stage(
        "knn",
        step,
        cost.method,
        flops=cost.flops,
        read_bytes=max(readers, 1) * rows + cost.read_bytes + cost.moved_bytes,
        written_bytes=cost.written_bytes + given.samples * list_bytes(given.settings.filter.steps[step].k),
        list_bytes=cost.list_bytes,
        shuffle_bytes=(0 if readers else rows) + cost.list_bytes,
        task_bytes=BARE_BYTES + max(cost.task_bytes, a_reader * packed_bytes(given.dims(step))),
        tasks=cost.tasks,
    )
    if given.known is None:
        return stage
    core_s = cost.computing_s(given.known.rates)
    packed_s = given.samples * 4 * given.dims(step) / PACKED_BYTES_PER_S
    return _timed(stage, _spread_s(core_s, cost.tasks, slots) + packed_s / slots, given)


def mutual_edges(given: Given, step: int) -> Stage:
    """Both ends of every listed pair meet in a shuffle; then both ends of every edge, to be counted."""
    k = given.settings.filter.steps[step].k
    edges = most_edges(given.samples, k)
    stage = Stage(
        "mutual_edges",
        step,
        read_bytes=given.samples * list_bytes(k) + edges * (8 + 8),
        written_bytes=edges * (8 + 8 + 4),
        shuffle_bytes=given.samples * k * (8 + 8 + 4 + 4) + 2 * edges * (8 + 8),
    )
    return _timed(stage, (given.samples * k + 2 * edges) / ROWS_PER_S / given.cluster.slots, given)


def components(given: Given, step: int) -> Stage:
    """Contraction, then one task, or rounds of two shuffles each where edges are many; every edge is verified, and the
    samples meet twice more: their components, and those of the same, for the medoids.
    """
    edges, in_one_task = most_edges(given.samples, given.settings.filter.steps[step].k), given.settings.components
    rounds, slots = _ROUNDS if edges > in_one_task.one_task_edges else 1, given.cluster.slots
    tasks = 2 + edges // _TASK_EDGES
    held = max(min(edges, in_one_task.one_task_edges), min(edges, _TASK_EDGES))
    weighed = given.samples * 4 * given.dims(step)
    stage = Stage(
        "components",
        step,
        read_bytes=(1 + rounds + 1) * edges * (8 + 8) + weighed,
        written_bytes=rounds * edges * (8 + 8) + given.samples * (8 + 8),
        shuffle_bytes=2 * rounds * edges * (8 + 8) + 2 * edges * (8 + 8 + 8) + 2 * weighed,
        task_bytes=BARE_BYTES + held * EDGE_BYTES,
        tasks=tasks,
    )
    if given.known is None:
        return stage
    contracted_s = (1 + rounds) * edges / given.known.rates.edges_per_s
    shuffled_s = (1 + rounds + 2) * edges / ROWS_PER_S + weighed / TO_PYTHON_BYTES_PER_S
    return _timed(stage, _spread_s(contracted_s, tasks, slots) + shuffled_s / slots, given)


def collection(given: Given) -> Stage:
    """Samples meet their components."""
    rows = given.samples * given.descriptors.sample_bytes
    return _timed(Stage("collection", read_bytes=rows, written_bytes=rows, shuffle_bytes=rows), 0, given)


def index(given: Given) -> Stage:
    """The collection as FAISS files: a task holds a shard raw, normalised and in its index."""
    rows, shard = given.samples, given.settings.index.shard_rows
    row = given.descriptors.sample_bytes
    stage = Stage(
        "index",
        read_bytes=rows * row,
        written_bytes=rows * row,
        shuffle_bytes=rows * row,
        task_bytes=BARE_BYTES + 3 * min(rows, shard) * row,
        tasks=math.ceil(rows / shard),
    )
    return _timed(stage, 0, given)


def _spread_s(core_s: float, tasks: int, slots: int) -> float:
    """Seconds of equal tasks of so many core seconds together: the last turn may leave slots idle."""
    return core_s / tasks * math.ceil(tasks / slots)


def _timed(stage: Stage, computing_s: float, given: Given) -> Stage:
    """With seconds: Spark's own, computing, then tables, blocks and shuffle on the disks of all machines."""
    if given.known is None:
        return stage
    rates = given.known.rates
    read, written = stage.read_bytes + stage.shuffle_bytes, stage.written_bytes + stage.shuffle_bytes
    moving_s = (read / rates.read_bytes_per_s + written / rates.write_bytes_per_s) / given.cluster.machines
    return replace(stage, seconds=SPARKS_OWN_S + computing_s + moving_s)
