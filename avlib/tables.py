"""The tables of a warehouse, declared once: name, place, schema, key, constraints.

Schemas are Arrow's, so that Spark stages and the readers that need no Spark share one declaration.
A table under `filters/NAME/` exists once per filter run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from avlib.identity import MAX_FRAMES, MAX_VIDEO_ID

SCHEMA_VERSION = 3
"""Raised whenever a declared schema changes its meaning; a warehouse of another version is refused."""

SCHEMA_VERSION_PROPERTY = "avlib.schema_version"

STATUSES = ("ok", "partial", "no_audio", "no_video", "failed", "duplicate", "skipped")
"""What can come of a video. Invariant: every input has exactly one of them."""

STREAM_STATUSES = ("ok", "partial", "none", "failed", "not_tried")
"""What can come of one stream (sound or picture) of a video; none: there is no such stream in it."""


@dataclass(frozen=True)
class Table:
    """A declared table.

    place: folder below the warehouse; `{name}` stands for the filter run.
    key: columns that identify a row.
    checks: Delta CHECK constraints by name. Finiteness of descriptors is checked in numpy before writing.
    """

    name: str
    place: str
    schema: pa.Schema
    key: tuple[str, ...]
    checks: Mapping[str, str] = field(default_factory=dict)

    def path(self, warehouse: str, filter_name: str) -> str:
        """Where the table lies."""
        return f"{warehouse}/{self.place.format(name=filter_name)}"

    @property
    def bounded(self) -> tuple[str, ...]:
        """The columns of which Delta's log keeps the least and the greatest value of each file: numbers and times.

        No texts: the log outlives the rows, and would go on naming a video that was forgotten.
        """
        kinds = {field.name: field.type for field in self.schema}
        return tuple(n for n, kind in kinds.items() if pa.types.is_primitive(kind) and not pa.types.is_boolean(kind))


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


DESCRIPTOR = pa.list_(pa.field("element", pa.float32(), nullable=False))
IDS = pa.list_(pa.field("element", pa.int64(), nullable=False))
DOUBLES = pa.list_(pa.field("element", pa.float64(), nullable=False))
METADATA = pa.map_(pa.string(), pa.string())
DEGREES = pa.map_(pa.int32(), pa.int64())
SHARES = pa.map_(pa.int64(), pa.float64())
UTC = pa.timestamp("us", tz="UTC")

VIDEOS = Table(
    "videos",
    "videos",
    pa.schema(
        [
            _required("video_id", pa.int64()),
            _required("uri", pa.string()),
            pa.field("bytes", pa.int64()),  # null: not a file that could be looked at
            pa.field("modified", UTC),
            _required("metadata", METADATA),  # the manifest's other columns
        ]
    ),
    key=("video_id",),
    checks={"video_id_range": f"video_id >= 0 AND video_id < {MAX_VIDEO_ID + 1}"},
)

DESCRIPTIONS = Table(
    "descriptions",
    "descriptions",
    pa.schema(
        [
            _required("video_id", pa.int64()),
            _required("attempt", pa.int32()),
            _required("input_hash", pa.string()),  # of the file's identity and described_with
            _required("described_with", pa.string()),  # of the settings that decide rows, and the model
            _required("status", pa.string()),
            _required("audio_status", pa.string()),
            _required("visual_status", pa.string()),
            pa.field("error_class", pa.string()),
            pa.field("transient", pa.bool_()),
            pa.field("error", pa.string()),
            pa.field("covered_s", pa.float64()),
            pa.field("content_hash", pa.string()),
            pa.field("container", pa.string()),
            pa.field("video_codec", pa.string()),
            pa.field("audio_codec", pa.string()),
            pa.field("video_stream", pa.int32()),
            pa.field("audio_stream", pa.int32()),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("frame_rate_hz", pa.float64()),
            pa.field("audio_rate_hz", pa.int32()),
            pa.field("channels", pa.int32()),
            pa.field("duration_s", pa.float64()),
            _required("samples", pa.int64()),
        ]
    ),
    key=("video_id", "attempt"),
    checks={
        "status_known": _one_of("status", STATUSES),
        "audio_status_known": _one_of("audio_status", STREAM_STATUSES),
        "visual_status_known": _one_of("visual_status", STREAM_STATUSES),
        "samples_counted": "samples >= 0",
        "failure_explained": "status = 'ok' OR error IS NOT NULL",
    },
)

SAMPLES = Table(
    "samples",
    "samples",
    pa.schema(
        [
            _required("sample_id", pa.int64()),
            _required("attempt", pa.int32()),
            _required("time_s", pa.float64()),
            _required("rms", pa.float32()),
            _required("visual", DESCRIPTOR),
            _required("audio_mfcc65", DESCRIPTOR),  # the paper's
            _required("audio_context", DESCRIPTOR),
        ]
    ),
    key=("sample_id", "attempt"),
    checks={"described": "size(visual) > 0 AND size(audio_mfcc65) > 0 AND size(audio_context) > 0"},
)

AUDIO_LEARNED = Table(
    "audio_learned",
    "audio_learned",
    pa.schema(
        [
            _required("sample_id", pa.int64()),
            _required("attempt", pa.int32()),  # of the sample
            _required("model", pa.string()),  # hash of the network
            _required("audio_learned", DESCRIPTOR),
        ]
    ),
    key=("sample_id", "attempt", "model"),
    checks={"described": "size(audio_learned) > 0"},
)

DESCRIPTOR_STATS = Table(
    "descriptor_stats",
    "descriptor_stats",
    pa.schema(
        [
            _required("version", pa.int64()),
            _required("descriptor", pa.string()),
            _required("samples", pa.int64()),
            _required("mean", DOUBLES),
            _required("deviation", DOUBLES),
        ]
    ),
    key=("version", "descriptor"),
)

NEIGHBORS = Table(
    "neighbors",
    "filters/{name}/neighbors",
    pa.schema(
        [
            _required("step", pa.int32()),
            _required("sample_id", pa.int64()),
            _required("neighbor_ids", IDS),  # ascending by (distance, id)
            _required("distances", DESCRIPTOR),
        ]
    ),
    key=("step", "sample_id"),
    checks={"paired": "size(neighbor_ids) = size(distances)"},
)

MUTUAL_EDGES = Table(
    "mutual_edges",
    "filters/{name}/mutual_edges",
    pa.schema(
        [
            _required("step", pa.int32()),
            _required("src", pa.int64()),
            _required("dst", pa.int64()),
            _required("distance", pa.float32()),
        ]
    ),
    key=("step", "src", "dst"),
    checks={"canonical": "src < dst"},
)

STEP_STATS = Table(
    "step_stats",
    "filters/{name}/step_stats",
    pa.schema(
        [
            _required("step", pa.int32()),
            _required("lists", pa.int64()),  # neighbor lists: samples that the step began with
            _required("listed", pa.int64()),  # neighbors in all lists together
            _required("edges", pa.int64()),  # mutual ones
            _required("degrees", DEGREES),  # number of mutual edges → samples that have so many; 0 is always there
        ]
    ),
    key=("step",),
    checks={"listed_from_both_ends": "edges >= 0 AND listed >= 2 * edges"},
)

COMPONENTS = Table(
    "components",
    "filters/{name}/components",
    pa.schema(
        [
            _required("step", pa.int32()),
            _required("sample_id", pa.int64()),
            _required("component_id", pa.int64()),  # the smallest sample_id in it
        ]
    ),
    key=("step", "sample_id"),
    checks={"smallest_member": "component_id <= sample_id"},
)

COMPONENT_STATS = Table(
    "component_stats",
    "filters/{name}/component_stats",
    pa.schema(
        [
            _required("step", pa.int32()),
            _required("component_id", pa.int64()),
            pa.field("parent_id", pa.int64()),  # its component in the step before; null in step 0
            _required("size", pa.int64()),  # samples
            _required("parent_size", pa.int64()),  # in step 0: all samples
            _required("videos", pa.int64()),
            _required("video_shares", SHARES),  # video_id → share of the component's samples, ascending by video_id
            _required("medoid_id", pa.int64()),  # the sample nearest to the mean: the one to look at first
            _required("kept", pa.bool_()),  # false: dropped, by min_size, min_videos or min_share
        ]
    ),
    key=("step", "component_id"),
    checks={
        "smallest_member": "component_id <= medoid_id",
        "within_parent": "size >= 1 AND size <= parent_size",
        "videos_counted": "videos >= 1 AND videos <= size AND size(video_shares) = videos",
        "parent_but_in_step_0": "(step = 0) = (parent_id IS NULL)",
    },
)

COPIES = Table(
    "copies",
    "filters/{name}/copies",
    pa.schema(
        [
            _required("sample_id", pa.int64()),
            _required("copy_of", pa.int64()),  # of a video with a smaller id; may be a copy too
        ]
    ),
    key=("sample_id",),
    checks={"of_an_earlier_video": f"copy_of DIV {MAX_FRAMES} < sample_id DIV {MAX_FRAMES}"},
)

SCORES = Table(
    "scores",
    "filters/{name}/scores",
    pa.schema(
        [
            _required("sample_id", pa.int64()),
            _required("score", pa.float64()),  # in nats; 0: picture and sound go together as by chance
            _required("videos", pa.int64()),  # other videos that bear it out
            _required("supporters", IDS),  # samples of these that count most: look and listen
            _required("kept", pa.bool_()),
        ]
    ),
    key=("sample_id",),
)

COLLECTION = Table(
    "collection",
    "filters/{name}/collection",
    pa.schema(
        [
            _required("sample_id", pa.int64()),
            _required("video_id", pa.int64()),
            _required("uri", pa.string()),
            _required("time_s", pa.float64()),
            _required("component_ids", IDS),  # one for each step, in order
            pa.field("score", pa.float64()),
            _required("visual", DESCRIPTOR),  # raw, as in samples
            _required("audio", DESCRIPTOR),  # the sound descriptor that the filter looked at, raw
            _required("audio_descriptor", pa.string()),  # which that is, the same for all rows
            _required("metadata", METADATA),
            _required("described_with", pa.string()),  # as in descriptions, the same for all rows
        ]
    ),
    key=("sample_id",),
)


def _shares(*names: str, nullable: bool = False) -> pa.StructType:
    return pa.struct([pa.field(name, pa.float64(), nullable=nullable) for name in names])


_DETECTION = _shares("precision", "recall", "f1", "auroc", "average_precision", nullable=True)  # null: of nothing
_RANKING = ("recall_1", "recall_5", "recall_10", "map", "ndcg_30")
_CHANCE = _shares(*_RANKING, nullable=True)  # null: where nothing was kept
_RETRIEVAL = pa.struct([_required("found", _shares(*_RANKING)), _required("chance", _CHANCE)])

EVALUATION = Table(
    "evaluation",
    "evaluation",
    pa.schema(
        [
            _required("experiment", pa.string()),  # hash of labels, settings and samples; see avlib.evaluation.scores
            _required("unit", pa.string()),
            _required("replace_from", pa.string()),
            _required("ratio", pa.float64()),
            _required("share", pa.float64()),
            _required("seed", pa.int64()),
            _required("fold", pa.int32()),
            _required("strategy", pa.string()),
            pa.field("k", pa.int32()),  # chosen; null: nothing was
            pa.field("min_size", pa.int32()),
            _required("samples", pa.int64()),
            _required("corrupted", pa.int64()),
            _required("kept", pa.int64()),
            _required("queries", pa.int64()),
            _required("classification_rate", pa.float64()),
            _required("kept_share", pa.float64()),
            pa.field("clean_share", pa.float64()),
            _required("categories", pa.int32()),
            pa.field("category_shift", pa.float64()),
            _required("detection", _DETECTION),
            _required("by_category", pa.map_(pa.string(), _DETECTION)),
            _required("sounds", _RETRIEVAL),  # ranked for query pictures
            _required("pictures", _RETRIEVAL),  # ranked for query sounds
        ]
    ),
    key=("experiment", "ratio", "share", "seed", "fold", "strategy"),
    checks={"counted": "kept <= samples AND corrupted <= samples"},
)

RUNS = Table(
    "runs",
    "runs",
    pa.schema(
        [
            _required("stage", pa.string()),
            _required("filter_name", pa.string()),  # empty for stages that belong to no filter run
            pa.field("step", pa.int32()),  # of the strategy; null: the stage is no part of a step
            _required("fingerprint", pa.string()),  # of the settings and the input tables' versions
            _required("inputs", pa.map_(pa.string(), pa.int64())),
            _required("outputs", pa.map_(pa.string(), pa.int64())),
            _required("settings", pa.string()),  # JSON
            _required("code_version", pa.string()),
            _required("host", pa.string()),  # of the driver
            _required("summary", pa.string()),
            _required("started", UTC),
            _required("seconds", pa.float64()),
            _required("rows", pa.int64()),  # written into the outputs
            _required("bytes", pa.int64()),  # of the files they were written to
            pa.field("driver_memory_bytes", pa.int64()),  # peak of Python and the JVM; null: not known
            pa.field("worker_memory_bytes", pa.int64()),  # peak of one Python worker beside the driver
        ]
    ),
    key=("stage", "filter_name", "step", "started"),
)

ALL = (
    VIDEOS,
    DESCRIPTIONS,
    SAMPLES,
    AUDIO_LEARNED,
    DESCRIPTOR_STATS,
    NEIGHBORS,
    MUTUAL_EDGES,
    STEP_STATS,
    COMPONENTS,
    COMPONENT_STATS,
    COPIES,
    SCORES,
    COLLECTION,
    EVALUATION,
    RUNS,
)

OF_FILTER = tuple(table for table in ALL if "{name}" in table.place)
"""The tables of a filter run."""

BY_STEP = tuple(table for table in ALL if table.key[0] == "step")
"""The tables of a filter run whose rows belong to a step."""
