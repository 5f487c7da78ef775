"""What a warehouse holds of a filter run, gathered for the report. Reads tables only; no media, no HTML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from avlib import tables
from avlib.arrays import BoolArray, Int64Array
from avlib.config import StepSettings
from avlib.descriptors import HOG_COLOR
from avlib.errors import WarehouseError
from avlib.evaluation import Cleanliness, Labels, RetrievalRates, SampleSet, Truth, read_kept, read_samples
from avlib.inspection import read_status
from avlib.models import read_model
from avlib.report.reasons import Reasons, read_reasons
from avlib.tables import Table
from avlib.warehouse import Warehouse


@dataclass(frozen=True)
class StepFinding:
    """One step of the filter.

    number: 0 for the first, as in the tables.  samples_in, edges, components (kept), samples_out: counts.  clean: of
    those left, None without labels.
    """

    number: int
    settings: StepSettings
    samples_in: int
    edges: int
    components: int
    samples_out: int
    clean: Cleanliness | None

    @property
    def compares(self) -> str:
        """Which modalities the step compares, with their weights where it compares both."""
        weights = ((self.settings.w_V, "pictures"), (self.settings.w_A, "sounds"))
        named = [(weight, name) for weight, name in weights if weight]
        return named[0][1] if len(named) == 1 else " + ".join(f"{weight:g} × {name}" for weight, name in named)

    @property
    def k(self) -> str:
        """How many neighbors a sample names; inside components perhaps only a share of their size."""
        share = self.settings.k_share
        capped = self.number > 0 and share < 1
        return f"{self.settings.k}, ≤ {share:.0%} of a component" if capped else str(self.settings.k)


@dataclass(frozen=True)
class RateRow:
    """Retrieval rates of one set of samples, for a table.  name: which samples."""

    name: str
    rates: RetrievalRates


@dataclass(frozen=True)
class Run:
    """The newest record of a stage.  inside: it ran as a part of another one here, whose seconds hold its own."""

    stage: str
    started: datetime
    seconds: float
    summary: str
    settings: str
    inside: bool = False


@dataclass(frozen=True, eq=False)
class Findings:
    """A filter run at a glance.

    samples: all of them.  kept: which are in the collection, shape (n,).  component_ids: of the last step, -1
    for dropped samples, shape (n,).  truth: by labels, None without.  runs: the newest of each stage.
    seconds: that the runs took together.  visual_descriptor, sound_descriptor: name and what it is.
    reasons: examples of kept and dropped samples; None where the strategy is not scored.
    """

    warehouse: str
    filter_name: str
    outcomes: Mapping[str, int]
    samples: SampleSet
    kept: BoolArray
    component_ids: Int64Array
    truth: Truth | None
    strategy: str
    steps: tuple[StepFinding, ...]
    runs: tuple[Run, ...]
    seconds: float
    visual_descriptor: str
    sound_descriptor: str
    reasons: Reasons | None

    def cleanliness(self, rows: BoolArray | Int64Array) -> Cleanliness | None:
        """How clean these samples are; None without labels."""
        return None if self.truth is None else Cleanliness.of(self.truth.take(rows))

    @property
    def agreeing(self) -> Cleanliness | None:
        """How clean what agrees is, of a strategy that is scored; None of others, and without labels."""
        return None if self.reasons is None else self.cleanliness(self.reasons.agree)

    @property
    def clean_before(self) -> Cleanliness | None:
        """Of all samples."""
        return self.cleanliness(np.arange(len(self.samples)))

    @property
    def clean_after(self) -> Cleanliness | None:
        """Of the collection."""
        return self.cleanliness(self.kept)


def read_findings(warehouse: Warehouse, *, labels: Labels | None = None) -> Findings:
    """Gather a filter run. Raises WarehouseError where the warehouse has not been filtered."""
    samples = read_samples(warehouse)
    truth = None if labels is None else samples.truth(labels)
    runs = _read_runs(warehouse)
    strategy, settings, scored = _strategy(warehouse, runs)
    kept = read_kept(warehouse, samples)
    reasons = read_reasons(warehouse, samples, kept) if scored else None
    left = len(samples) if reasons is None else len(reasons.agree)
    components: dict[int, int] = {}
    steps = []
    for step, step_settings in enumerate(settings):
        of_step = ds.field("step") == step
        rows = _read(warehouse, tables.COMPONENTS, ["sample_id", "component_id"], of_step)
        components = dict(zip(rows["sample_id"].to_pylist(), rows["component_id"].to_pylist(), strict=True))
        found = StepFinding(
            number=step,
            settings=step_settings,
            samples_in=left,
            edges=warehouse.open(tables.MUTUAL_EDGES).to_pyarrow_dataset().count_rows(filter=of_step),
            components=len(set(components.values())),
            samples_out=len(components),
            clean=None if truth is None else Cleanliness.of(truth.take(np.isin(samples.ids, list(components)))),
        )
        steps.append(found)
        left = rows.num_rows
    return Findings(
        warehouse=warehouse.uri,
        filter_name=warehouse.name,
        outcomes=read_status(warehouse.uri).outcomes,
        samples=samples,
        kept=kept,
        component_ids=np.array([components.get(sample, -1) for sample in samples.ids.tolist()], np.int64),
        truth=truth,
        strategy=strategy,
        steps=tuple(steps),
        runs=tuple(runs.values()),
        seconds=_seconds(runs.values()),
        visual_descriptor=describe_descriptor(_model_name(warehouse)),
        sound_descriptor=_sound_descriptor(runs),
        reasons=reasons,
    )


def _model_name(warehouse: Warehouse) -> str:
    """The picture model of the newest description."""
    rows = warehouse.open(tables.DESCRIPTIONS).to_pyarrow_dataset().to_table(columns=["attempt", "described_with"])
    newest = rows.sort_by([("attempt", "descending")])["described_with"][0].as_py()
    return read_model(warehouse.uri, newest).name


def describe_descriptor(name: str) -> str:
    """A picture descriptor by its name and what it is, so that nobody takes one kind for the other."""
    if name == HOG_COLOR:
        return f"{name}: classical, no network"
    return f"{name}: network, penultimate layer"


_SOUND_DESCRIPTORS = {
    "audio_mfcc65": "13 MFCCs over windows of several lengths, as in the paper",
    "audio_context": "mean and deviation of MFCCs and their slopes over seconds",
    "audio_learned": "network, learned from this collection's sound",
}


def _sound_descriptor(runs: Mapping[str, Run]) -> str:
    """That of the newest filter run."""
    name = json.loads(runs["filter"].settings)[0]["audio"]
    return f"{name}: {_SOUND_DESCRIPTORS[name]}"


def _read_runs(warehouse: Warehouse) -> dict[str, Run]:
    """The newest run of every stage, in order of time."""
    of_run = ds.field("filter_name").isin(["", warehouse.name])
    columns = ["stage", "started", "seconds", "summary", "settings"]
    rows = _read(warehouse, tables.RUNS, columns, of_run).sort_by("started").to_pylist()
    newest = {row["stage"]: Run(**row) for row in rows}
    found, until = {}, float("-inf")
    for run in sorted(newest.values(), key=lambda run: (run.started, -run.seconds)):
        end = run.started.timestamp() + run.seconds
        found[run.stage] = replace(run, inside=end <= until)
        until = max(until, end)
    return found


def _seconds(runs: Iterable[Run]) -> float:
    """Time the runs took together; what ran inside another counts once.  runs: in order of time."""
    total, until = 0.0, float("-inf")
    for run in runs:
        start = run.started.timestamp()
        total += max(0.0, start + run.seconds - max(start, until))
        until = max(until, start + run.seconds)
    return total


def _strategy(warehouse: Warehouse, runs: Mapping[str, Run]) -> tuple[str, list[StepSettings], bool]:
    """Name and steps of the newest filter run, and whether it is scored."""
    if "filter" not in runs:
        again = f"run `avlib filter --name {warehouse.name} --warehouse {warehouse.uri}` first"
        raise WarehouseError(f"{warehouse.uri} has no filter run {warehouse.name}: {again}")
    chosen = json.loads(runs["filter"].settings)[0]
    strategy = chosen["strategy"]
    found = chosen["strategies"][strategy]
    return strategy, [StepSettings(**step) for step in found["steps"]], found["scored"]


def _read(warehouse: Warehouse, table: Table, columns: list[str], rows: ds.Expression) -> pa.Table:
    return warehouse.open(table).to_pyarrow_dataset().to_table(columns=columns, filter=rows)
