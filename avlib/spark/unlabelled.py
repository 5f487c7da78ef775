"""evaluate without labels: what a strategy keeps of some videos, how stable that is, how much shuffled sound leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pyspark.sql import functions as F

from avlib.columns import descriptor_rows
from avlib.config import Settings
from avlib.descriptors import normalise_audio, normalise_visual
from avlib.errors import InputError
from avlib.evaluation.unlabelled import FEWEST_VIDEOS, Component, Observed, Trial, kept_components, trial
from avlib.filtering import SampleArrays
from avlib.neighbors import NeighborRule
from avlib.spark.evaluation import strategy_of
from avlib.spark.progress import say, watched
from avlib.spark.samples import latest_descriptions, samples_described_with, sound_samples
from avlib.spark.stats import latest_stats
from avlib.spark.store import TableStore

_LISTED = 10  # components; of more the number must do


@dataclass(frozen=True)
class Unlabelled:
    """samples, videos: what was looked at.  components: those kept, largest first.  trials: one for each seed."""

    strategy: str
    samples: int
    videos: int
    components: tuple[Component, ...]
    trials: tuple[Trial, ...]


def run(store: TableStore, settings: Settings) -> Unlabelled:
    """Look at the chosen strategy, as configured, on at most `evaluate.most_samples` samples of whole random videos.

    Writes nothing. Raises WarehouseError where there are no samples, InputError for fewer than four videos.
    """
    samples_described_with(store)  # one setting for all, or an error
    chosen = settings.evaluate
    seeds = range(chosen.seed, chosen.seed + chosen.seeds)
    observed, videos = _some_samples(store, settings)
    if videos < FEWEST_VIDEOS:
        raise InputError(
            f"{store.warehouse}: the samples of {videos} videos fit evaluate.most_samples = {chosen.most_samples}; "
            f"{FEWEST_VIDEOS} are needed, for halves of them"
        )
    rule = NeighborRule(settings.knn.exclude, settings.knn.exclude_s, settings.knn.per_video)
    strategy = strategy_of(settings.filter.strategy, settings)
    say(f"evaluate: {settings.filter.strategy} on {len(observed.samples)} samples of {videos} videos")
    spark = store.spark.sparkContext
    shared = spark.broadcast(observed)

    def try_one(seed: int) -> Trial:
        return trial(shared.value, strategy=strategy, rule=rule, seed=seed)

    def find(_: int) -> list[Component]:
        return kept_components(shared.value, strategy=strategy, rule=rule)

    with watched(store.spark, f"evaluate: {len(seeds)} trials"):
        trials = spark.parallelize(seeds, len(seeds)).map(try_one).collect()
        components = spark.parallelize([0], 1).flatMap(find).collect()
    shared.unpersist()
    return Unlabelled(settings.filter.strategy, len(observed.samples), videos, tuple(components), tuple(trials))


def _some_samples(store: TableStore, settings: Settings) -> tuple[Observed, int]:
    """The samples of as many random videos as have at most evaluate.most_samples together; and how many videos."""
    chosen = settings.evaluate
    counts = latest_descriptions(store).where("samples > 0").select("video_id", "samples").orderBy("video_id").toArrow()
    order = np.random.default_rng(chosen.seed).permutation(counts.num_rows)
    fitting = np.cumsum(counts["samples"].to_numpy()[order]) <= chosen.most_samples
    videos = counts["video_id"].to_numpy()[order[fitting]].tolist()
    asked = settings.agreement.audio if settings.filter.scored else ()
    descriptors = {settings.filter.audio, *asked}
    rows = sound_samples(store, *descriptors).where(F.col("video_id").isin(videos))
    found = rows.select("sample_id", "time_s", "visual", *descriptors).toArrow().sort_by("sample_id")
    sounds = {name: normalise_audio(descriptor_rows(found[name]), latest_stats(store, name)) for name in descriptors}
    samples = SampleArrays(
        found["sample_id"].to_numpy(),
        normalise_visual(descriptor_rows(found["visual"])),
        sounds[settings.filter.audio],
        found["time_s"].to_numpy(),
    )
    return Observed(samples, tuple(sounds[name] for name in asked)), len(videos)


def as_text(found: Unlabelled) -> str:
    """For a terminal."""
    kept = sum(one.samples for one in found.components)
    lone = sum(one.videos == 1 for one in found.components)
    agreement = _mean([one.agreement for one in found.trials])
    kappa = _mean([one.kappa for one in found.trials])
    shuffled = _mean([one.shuffled_share for one in found.trials])
    lines = [
        f"{found.strategy} keeps {kept} of {found.samples} samples of {found.videos} videos "
        f"({kept / max(found.samples, 1):.0%}), in {len(found.components)} components, {lone} of them of one video",
        f"with shuffled sound it keeps {shuffled}: so much is kept whether or not picture and sound go together",
        f"two runs on random halves of the videos agree on {agreement} of the samples both have (kappa {kappa})",
    ]
    for one in found.components[:_LISTED]:
        lines.append(f"  component {one.component_id}: {one.samples} samples of {one.videos} videos")
    if len(found.components) > _LISTED:
        lines.append(f"  and {len(found.components) - _LISTED} smaller ones")
    return "\n".join(lines)


def _mean(values: list[float]) -> str:
    known = [value for value in values if not np.isnan(value)]
    return f"{np.mean(known):.2f} ({min(known):.2f} to {max(known):.2f})" if known else "–"
