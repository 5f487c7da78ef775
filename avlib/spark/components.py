"""components: mutual_edges → components, component_stats. Connected components; those too small are dropped.

Large-star / small-star rounds (Kiveris et al. 2014, "Connected Components in MapReduce and Beyond") with local
contraction in every partition. Once few edges are left, one executor task finishes. avlib collects no edge to the
driver; Spark itself may broadcast a small join through it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from avlib import tables
from avlib.config import Settings
from avlib.errors import AvlibError, WarehouseError
from avlib.spark import selection
from avlib.spark.contraction import contract_in_chunks, contract_whole
from avlib.spark.progress import say, watched
from avlib.spark.rounds import Rounds, content
from avlib.spark.runs import Step, Work, is_done, recorded
from avlib.spark.samples import learned_inputs
from avlib.spark.steps import drop_later, require_edges
from avlib.spark.store import TableStore
from avlib.storage import remove_folder, remove_if_empty
from avlib.table_log import Note
from avlib.tables import Table

_EDGES = "node bigint, root bigint"  # root < node
_TASK_EDGES = 1_000_000  # edges of a task in a round


def run(store: TableStore, settings: Settings, step: int) -> None:
    """Write the components of one step that are large enough."""
    require_edges(store, step)
    work = _work(store, settings, step)
    with store.claim_filter():
        if is_done(store, work):
            remove_folder(f"{rounds_place(store)}/step-{step}")  # it was killed before it could
            return
        with recorded(store, work) as record:
            drop_later(store, step)
            record.summary = _run(store, settings, step, work.note(store))


def _work(store: TableStore, settings: Settings, step: int) -> Work:
    """All that decides which components there are, which stay, and their medoids."""
    inputs: list[Table | Step] = [
        tables.DESCRIPTIONS,
        tables.SAMPLES,
        tables.DESCRIPTOR_STATS,
        *learned_inputs(settings.filter.audio),
        Step(tables.MUTUAL_EDGES, step),
    ]
    inputs += [Step(tables.COMPONENTS, step - 1)] if step else []
    outputs = [tables.COMPONENTS, tables.COMPONENT_STATS]
    given = [settings.filter.steps[step], settings.filter.audio]
    return Work("components", inputs, outputs, given, store.name, step)


def _run(store: TableStore, settings: Settings, step: int, note: Note) -> str:
    """Write the tables; returns what came of it."""
    with watched(store.spark, f"components, step {step}"), _round_folder(store, step) as folder:
        edges = store.read(tables.MUTUAL_EDGES, step=step).select("src", "dst")
        limit = settings.components.one_task_edges
        # Not the version of their table: a filter that was killed and begins anew writes the same edges again.
        source = f"edges {content(edges)}, one task {limit}"
        found = components(edges, folder=folder, one_task_edges=limit, source=source)
        verify(edges, found)
        kept = selection.select(store, found, settings, selection.Target(step, folder, note))
        store.write_step(tables.COMPONENTS, kept.members, step=step, note=note)
    said = f"{kept.samples} samples in {kept.components} components"
    say(f"  step {step}: {said}")
    return said


def components(edges: DataFrame, *, folder: str, one_task_edges: int, source: str | None = None) -> DataFrame:
    """sample_id, component_id of every sample that has an edge to another. The id is the smallest sample id in it.

    edges: src, dst; in any order, direction, repeated or not.  folder: for the rounds, each of them a table; the
    result is read from there, so the caller removes it afterwards.  source: identifies the edges; where `folder`
    holds rounds of the same source they are gone on from. None: begin anew.  one_task_edges: with at most so many
    edges left, one task finishes.
    """
    rounds = Rounds(edges.sparkSession, folder, source=source or uuid.uuid4().hex, schema=_EDGES)
    last = rounds.last_whole() or rounds.write(_contracted(edges.selectExpr("src AS node", "dst AS root")))
    while not last.settled:
        left = rounds.read(last)
        if last.rows <= one_task_edges:
            last = rounds.write(left.coalesce(1).mapInArrow(contract_whole, _EDGES), settled=True)
        else:
            last = rounds.write(_star_round(left, partitions=2 + last.rows // _TASK_EDGES))
    stars = rounds.read(last)
    roots = stars.select("root").distinct().selectExpr("root AS node", "root")
    return stars.unionByName(roots).selectExpr("node AS sample_id", "root AS component_id")


def verify(edges: DataFrame, components: DataFrame) -> None:
    """Raise WarehouseError if an edge joins two components. It cannot see two that are one by mistake."""
    edges = edges.where("src != dst")
    source = components.selectExpr("sample_id AS src", "component_id AS src_component")
    target = components.selectExpr("sample_id AS dst", "component_id AS dst_component")
    ends = edges.join(source, "src", "left").join(target, "dst", "left")
    crossing = ends.where("NOT src_component <=> dst_component OR src_component IS NULL").count()
    if crossing:
        raise WarehouseError(f"components: {crossing} edges cross components; run the step again and report this")


def rounds_place(store: TableStore) -> str:
    """The folder in which the rounds of a filter run lie, of all its steps."""
    return f"{store.warehouse}/filters/{store.name}/_rounds"


@contextmanager
def _round_folder(store: TableStore, step: int) -> Iterator[str]:
    """Where a step's rounds lie. Removed at the end, and where avlib itself found that something is wrong with them.

    After a kill, a full disk, or tasks that failed too often they stay: the next run goes on from there.
    """
    folder = f"{rounds_place(store)}/step-{step}"
    try:
        yield folder
    except AvlibError:
        remove_folder(folder)
        remove_if_empty(rounds_place(store))
        raise
    remove_folder(folder)
    remove_if_empty(rounds_place(store))


def _star_round(edges: DataFrame, *, partitions: int) -> DataFrame:
    """Large-star, then small-star.

    A round that changes nothing is the last, and there is one: no round gives a node a larger smallest root, so these
    settle; and once none has become smaller, no node's smallest root has a root itself (large-star would have replaced
    it) and no node has two (small-star would have linked them), so the rows are stars and the next round leaves them.
    That all rows of a node are contracted at once rests on a partition's being one chunk of them; `verify` would tell.
    """
    smallest = edges.groupBy("node").agg(F.min("root").alias("smallest")).withColumnRenamed("node", "root")
    # Large-star: a node's larger neighbors are those it is the root of, its smallest neighbor is its smallest root.
    linked = edges.join(smallest, "root", "left").select("node", F.coalesce("smallest", "root").alias("root"))
    # Small-star: a node's smaller neighbors are its roots. Contraction of all rows of a node links them, and more.
    return _contracted(linked.repartition(partitions, "node"))


def _contracted(edges: DataFrame) -> DataFrame:
    """Replace the edges of each partition by stars: from every node to the smallest one it is connected to there."""
    return edges.mapInArrow(contract_in_chunks, _EDGES)
