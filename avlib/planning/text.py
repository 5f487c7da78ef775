"""A plan in plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from avlib.planning.plan import Plan
from avlib.planning.rates import Calibration
from avlib.planning.stages import Stage

_WIDTH = 110
_UNITS = ("", "k", "M", "G", "T", "P", "E", "Z")
_HEADINGS = ("", "", "FLOPs", "read", "lists", "shuffle", "tasks", "a task holds", "hours")


def plan_as_text(plan: Plan) -> str:
    """For a reader."""
    return "\n".join(_lines(plan))


def rates_as_text(known: Calibration) -> str:
    """What a calibration found, for a reader."""
    rates, describe = known.rates, known.describe
    rows = [
        ("matrix products", f"{_short(rates.gemm_flops_per_s)}FLOP/s"),
        ("folds", f"{_short(rates.folds_per_s)}pairs/s"),
        ("differences", f"{_short(rates.differences_per_s)}numbers/s"),
        ("edges contracted", f"{_short(rates.edges_per_s)}edges/s"),
        ("memory map, read", f"{_short(rates.read_bytes_per_s)}B/s"),
        ("disk, written", f"{_short(rates.write_bytes_per_s)}B/s"),
        ("decode, RMS, MFCC", f"{describe.s_per_video_minute:.2f} s a video minute of 640 × 360"),
        (describe.visual_model, f"{describe.pictures_per_s:.0f} pictures/s of {describe.picture_size_px} px"),
    ]
    if describe.gpu_pictures_per_s is not None:
        rows.append(("  on a GPU", f"{describe.gpu_pictures_per_s:.0f} pictures/s"))
    versions = ", ".join(f"{name} {version}" for name, version in known.versions.items())
    listed = [f"  {name:<20} {value}" for name, value in rows]
    return "\n".join([f"one core of {known.machine}, {known.date}", *listed, f"  {versions}"])


def _lines(plan: Plan) -> Iterator[str]:
    given = plan.given
    videos, cluster, describe = given.collection, given.cluster, given.settings.describe
    grid = f"{describe.frame_rate_hz:g} frames a second"
    every = "" if describe.frame_stride == 1 else f", stride {describe.frame_stride}"
    yield "A calculation: nothing was run or read of any video."
    yield ""
    yield f"{videos.videos:,} videos of {videos.mean_s:g} s, {grid}{every}, {videos.kept_share * 100:g} % of them loud"
    yield (
        f"{given.samples:,} samples of {given.descriptors.visual} ({describe.visual_model}) + "
        f"{given.descriptors.audio} numbers; strategy {given.settings.filter.strategy}"
    )
    gpus = f", {cluster.gpus} GPUs in all" if cluster.gpus else ""
    yield (
        f"{cluster.machines} machines of {cluster.cores} cores and {cluster.memory_gb:g} GB{gpus}: "
        f"{cluster.slots:,} tasks at a time, {_short(cluster.task_bytes)}B each"
    )
    yield ""
    yield from _table(
        ["table", "rows", "bytes"], [(t.table, f"{t.rows:,}", f"{_short(t.bytes)}B") for t in plan.tables]
    )
    yield ""
    yield from _table(_HEADINGS, [_row(stage) for stage in plan.stages])
    total = "not known" if plan.hours is None else f"{_hours(plan.hours * 3600)} hours"
    yield f"in all: {total}"
    yield ""
    for step, choice in enumerate(plan.choices):
        yield from _wrapped(f"step {step}: {choice.method}. {choice.reason}", indent=0)
    for heading, listed in (("notes", plan.notes), ("warnings", plan.warnings)):
        if listed:
            yield ""
            yield heading
            for line in listed:
                yield from _wrapped(line, indent=2)


def _wrapped(line: str, *, indent: int) -> list[str]:
    return textwrap.wrap(line, _WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2))


def _row(stage: Stage) -> tuple[str, ...]:
    def size(value: float) -> str:
        return f"{_short(value)}B" if value else "-"

    return (
        stage.name,
        stage.method or "",
        _short(stage.flops).rstrip() if stage.flops else "-",
        size(stage.read_bytes),
        size(stage.list_bytes),
        size(stage.shuffle_bytes),
        "-" if stage.tasks is None else f"{stage.tasks:,}",
        "-" if stage.task_bytes is None else size(stage.task_bytes),
        "-" if stage.seconds is None else _hours(stage.seconds),
    )


def _table(headings: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns, the first to the left."""
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    for row in (headings, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        yield ("  " + "  ".join(cells)).rstrip()


def _short(value: float) -> str:
    """Three digits, and a space with the unit's prefix."""
    power = 0
    while value >= 999.5 and power < len(_UNITS) - 1:
        value, power = value / 1000, power + 1
    digits = 0 if value >= 99.5 or (power == 0 and value == int(value)) else 1 if value >= 9.95 else 2
    return f"{value:.{digits}f} {_UNITS[power]}"


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2g}"
