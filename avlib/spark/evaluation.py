"""evaluation: samples, labels → evaluation. The descriptors are read once; every point of an experiment is a task."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from pyspark.sql import functions as F

from avlib import tables
from avlib.columns import descriptor_rows
from avlib.config import EvaluateSettings, Settings, hash_of
from avlib.descriptors import normalise_visual
from avlib.errors import ConfigError, InputError
from avlib.evaluation import Labels, SampleSet, StrArray
from avlib.evaluation.corruption import Corruption
from avlib.evaluation.material import Material, find_material
from avlib.evaluation.plots import plot_corruption, plot_size
from avlib.evaluation.protocol import (
    RANDOM,
    UNFILTERED,
    Outcome,
    Parameters,
    Point,
    Protocol,
    Strategy,
    check_lenders,
    choose,
    measure,
)
from avlib.evaluation.summary import Mean, row_of, write_means, write_outcomes
from avlib.neighbors import NeighborRule
from avlib.spark.progress import say, watched
from avlib.spark.runs import Work, recorded
from avlib.spark.samples import samples_described_with, sound_samples
from avlib.spark.store import TableStore, spark_schema

_WAITS_S = 300.0  # for others that write theirs


def run(store: TableStore, settings: Settings, labels: Labels) -> list[Outcome]:
    """Run the experiment of `settings.evaluate`; returns its outcomes, which are in the table `evaluation` too.

    Raises InputError where the labels and the samples make no experiment (see `find_material`), ConfigError for a
    strategy that is not known, ParameterError for settings that do not fit the samples.
    """
    protocol = protocol_of(settings)
    inputs = [tables.VIDEOS, tables.DESCRIPTIONS, tables.SAMPLES]
    work = Work(
        "evaluate", inputs, [tables.EVALUATION], [settings.evaluate, settings.filter, settings.agreement, settings.knn]
    )
    with recorded(store, work) as record:
        outcomes, record.summary = _run(store, settings, labels, protocol)
    say(f"evaluate: {record.summary}")
    return outcomes


def _run(store: TableStore, settings: Settings, labels: Labels, protocol: Protocol) -> tuple[list[Outcome], str]:
    """Write the outcomes; returns them, and what they are of."""
    material = read_material(store, labels, settings)
    chosen = settings.evaluate
    experiment = hash_of([chosen.model_dump(mode="json"), repr(protocol), material.fingerprint()])
    outcomes = run_protocol(store, material, protocol, chosen)
    of_all = {"experiment": experiment, "unit": chosen.unit, "replace_from": chosen.replace_from}
    rows = [of_all | row_of(outcome) for outcome in outcomes]
    names = tables.EVALUATION.schema.names
    frame = store.spark.createDataFrame(
        [tuple(row[name] for name in names) for row in rows], spark_schema(tables.EVALUATION)
    )
    with store.claim(tables.EVALUATION.name, wait_s=_WAITS_S):
        store.write_experiment(tables.EVALUATION, frame, experiment=experiment)
    summary = f"experiment {experiment}: {len(outcomes)} outcomes over {len(material.clean)} clean samples"
    return outcomes, summary


def protocol_of(settings: Settings) -> Protocol:
    """The protocol that the settings ask for. Raises ConfigError for an unknown strategy, ParameterError as it does."""
    chosen, known = settings.evaluate, settings.filter.strategies
    if taken := {UNFILTERED, RANDOM} & known.keys():
        raise ConfigError(f"filter.strategies.{min(taken)}: the name means something else here; choose another")
    for name in chosen.strategies:
        if name not in (UNFILTERED, RANDOM, *known):
            raise ConfigError(f"evaluate.strategies: {name!r} is none of {', '.join([UNFILTERED, RANDOM, *known])}")
    grid = [Parameters(k, min_size) for k in chosen.k for min_size in chosen.min_size]
    protocol = Protocol(
        strategies=tuple(strategy_of(name, settings) for name in chosen.strategies),
        rule=NeighborRule(settings.knn.exclude, settings.knn.exclude_s, settings.knn.per_video),
        corruption=Corruption(chosen.unit, chosen.replace_from, chosen.segment_s),
        grid=tuple(grid) if chosen.choose else (),
        seeds=tuple(range(chosen.seed, chosen.seed + chosen.seeds)),
        folds=chosen.folds,
        inner_folds=chosen.inner_folds,
        answers=chosen.answers,
    )
    protocol.check()
    return protocol


def strategy_of(name: str, settings: Settings) -> Strategy:
    """A strategy of the settings, or one without steps."""
    found = settings.filter.strategies.get(name)
    if found is None:
        return Strategy(name)
    return Strategy(name, found.steps, settings.agreement if found.scored else None)


def read_material(store: TableStore, labels: Labels, settings: Settings) -> Material:
    """The samples of labelled videos, sorted by their labels; says what is left out.

    They have the sound descriptor of the filter, and those of agreement where one of the strategies asks it.
    """
    audio = settings.filter.audio
    strategies = [strategy_of(name, settings) for name in settings.evaluate.strategies]
    asked = settings.agreement.audio if any(strategy.agreement for strategy in strategies) else ()
    descriptors = {audio, *asked}
    samples_described_with(store)  # one setting for all, or an error
    videos = store.read(tables.VIDEOS).select("video_id", "uri")
    address = F.col("uri").rlike("^https?:")  # as avlib.inputs.video_name says
    place = F.when(address, F.regexp_replace("uri", r"[?#].*$", "")).otherwise(F.col("uri"))
    named = videos.where(F.substring_index(place, "/", -1).isin(list(labels.videos)))
    samples = sound_samples(store, *descriptors)
    with watched(store.spark, "samples of labelled videos"):
        rows = samples.join(F.broadcast(named), "video_id")
        found = rows.select("sample_id", "uri", "time_s", "visual", *descriptors).toArrow().sort_by("sample_id")
        others = samples.join(F.broadcast(named), "video_id", "left_anti").select("video_id").distinct().count()
    if not found.num_rows:
        raise InputError(
            f"{store.warehouse} has no samples of the {len(labels.videos)} labelled videos, {labels.videos[0]} and so "
            "on: labels go by file name"
        )
    uris: StrArray = found["uri"].to_numpy(zero_copy_only=False).astype(str)
    material, excluded = find_material(
        SampleSet(found["sample_id"].to_numpy(), uris, found["time_s"].to_numpy()),
        visual=normalise_visual(descriptor_rows(found["visual"])),
        audio=descriptor_rows(found[audio]),
        labels=labels,
        sounds=tuple(descriptor_rows(found[name]) for name in asked),
    )
    say(
        f"evaluate: {len(material.clean)} clean samples of {', '.join(material.categories)}; {len(material.outside)} "
        "sounds outside"
    )
    for line in [f"{others} videos have no labels"] * (others > 0) + excluded.lines():
        say(f"  left out: {line}")
    return material


def run_protocol(
    store: TableStore, material: Material, protocol: Protocol, settings: EvaluateSettings
) -> list[Outcome]:
    """Choose the parameters of every ratio, share, fold and strategy, then measure every point, each in a task."""
    if any(settings.ratios):
        check_lenders(material, protocol)
    spark = store.spark.sparkContext
    shared = spark.broadcast((material, protocol))
    places = list(product(settings.ratios, settings.shares, range(protocol.folds)))
    filters = [strategy for strategy in protocol.strategies if strategy.steps] if protocol.grid else []

    def choose_one(task: tuple[Point, Strategy]) -> Parameters | None:
        material, protocol = shared.value
        return choose(material, protocol, strategy=task[1], point=task[0])

    def measure_one(task: tuple[Point, dict[str, Parameters | None]]) -> list[Outcome]:
        material, protocol = shared.value
        return list(measure(material, protocol, point=task[0], chosen=task[1]))

    first = protocol.seeds[0]
    choices = [(Point(ratio, share, first, fold), one) for ratio, share, fold in places for one in filters]
    chosen = {}
    if choices:
        with watched(store.spark, f"evaluate: choosing parameters, {len(choices)} times"):
            found = spark.parallelize(choices, len(choices)).map(choose_one).collect()
        chosen = {(point, one.name): parameters for (point, one), parameters in zip(choices, found, strict=True)}

    tasks = []
    for seed, (ratio, share, fold) in product(protocol.seeds, places):
        of_place = Point(ratio, share, first, fold)
        names = [strategy.name for strategy in protocol.strategies]
        tasks.append((Point(ratio, share, seed, fold), {name: chosen.get((of_place, name)) for name in names}))
    with watched(store.spark, f"evaluate: {len(tasks)} points"):
        outcomes = spark.parallelize(tasks, len(tasks)).flatMap(measure_one).collect()
    shared.unpersist()
    return sorted(outcomes, key=lambda one: (one.point.ratio, one.point.share))  # else as measured: seed, fold


def write_files(outcomes: Sequence[Outcome], rows: Sequence[Mean], settings: EvaluateSettings, out: Path) -> None:
    """CSV files and plots of an experiment, into a folder that is made where it is missing.

    Their names begin with `size` where several shares of the samples were used, else with `corruption`.
    """
    out.mkdir(parents=True, exist_ok=True)
    experiment = "size" if len(settings.shares) > 1 else "corruption"
    written = [out / f"{experiment}_points.csv", out / f"{experiment}_means.csv"]
    write_outcomes(outcomes, written[0])
    write_means(rows, written[1])
    if experiment == "size":
        written += plot_size(rows, out)
    elif len(settings.ratios) > 1:
        categories = max(len(outcome.scores.by_category) for outcome in outcomes)
        written += plot_corruption(rows, out, categories=categories)
    say("evaluate: wrote " + ", ".join(str(path) for path in written))
