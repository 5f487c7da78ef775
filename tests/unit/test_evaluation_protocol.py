"""The protocol: what is held out stays out, chance and perfection score as they must, votes counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from labelled_samples import CATEGORIES, labelled, material

from avlib.config import StepSettings
from avlib.errors import InputError, ParameterError
from avlib.evaluation.corruption import Corruption, ReplaceFrom, Unit
from avlib.evaluation.material import LabelledSamples, Material
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
    parts,
)
from avlib.evaluation.protocol import measure as measure_lazily
from avlib.evaluation.scores import Decision, classification_rate, scores_of
from avlib.identity import VIDEO_ID_SHIFT, video_ids
from avlib.neighbors import NeighborRule

MATERIAL = material()
JOINT = Strategy("joint", (StepSettings(w_V=0.5, w_A=0.5, k=6, min_size=16),))  # 24 clean ones of a category
SOUND = Strategy("A", (StepSettings(w_V=0.0, w_A=1.0, k=3, min_size=5),))
GRID = tuple(Parameters(k, size) for k in (2, 4) for size in (1, 4, 8))
PROTOCOL = Protocol(
    strategies=(Strategy(UNFILTERED), Strategy(RANDOM), JOINT, SOUND),
    rule=NeighborRule(),
    corruption=Corruption(),
    grid=(),
    seeds=(3, 4),
    folds=3,
    inner_folds=2,
)


def measure(given: Material, protocol: Protocol, point: Point) -> dict[str, Outcome]:
    chosen = dict.fromkeys([strategy.name for strategy in protocol.strategies])
    return {outcome.strategy: outcome for outcome in measure_lazily(given, protocol, point=point, chosen=chosen)}


def some_clean(given: Material) -> Material:
    """Half of the sounds outside are of videos that are clean elsewhere, as where speech lies over a part of one."""
    outside = given.outside
    of_clean = np.unique(given.clean.videos)[np.unique(outside.videos, return_inverse=True)[1]]
    later = (of_clean << VIDEO_ID_SHIFT) + 1000 + (outside.ids & 0xFFFFFF)
    ids = np.where(outside.videos % 2 == 0, later, outside.ids)
    return replace(given, outside=replace(outside, ids=ids, sound_ids=ids))


@pytest.mark.parametrize("ratio", [0.0, 0.35, 0.9])
@pytest.mark.parametrize("unit", ["frame", "segment", "video"])
@pytest.mark.parametrize("replace_from", ["outside", "other-category"])
def test_parts_share_no_video_and_are_corrupted_exactly(ratio: float, unit: Unit, replace_from: ReplaceFrom) -> None:
    tested: list[int] = []
    lent: list[set[int]] = []
    given, how = some_clean(MATERIAL), Corruption(unit, replace_from, segment_s=1.0)
    assert set(given.outside.videos) & set(given.clean.videos) and set(given.outside.videos) - set(given.clean.videos)
    for fold in range(3):
        training, test = parts(given, replace(PROTOCOL, corruption=how), Point(ratio, 1.0, 3, fold))
        assert not set(training.videos) & set(test.videos)
        lent.append(set(video_ids(training.sound_ids[~training.truth.clean])))
        assert not lent[-1] & set(test.videos)
        assert (~training.truth.clean).sum() == int(np.floor(ratio * len(training) + 0.5))
        assert test.truth.clean.all()
        assert set(test.truth.picture) == set(CATEGORIES)
        tested += test.ids.tolist()
    assert sorted(tested) == sorted(MATERIAL.clean.ids.tolist())  # each is tested once
    if replace_from == "outside" and unit == "frame" and ratio == 0.9:  # enough to need every sound
        dealt = [set(given.outside.videos) - of_fold for of_fold in lent]
        assert all(dealt) and sum(map(len, dealt)) == len(set(given.outside.videos))  # each is held out once


def test_sounds_of_one_fold_can_replace_nothing_there() -> None:
    outside = MATERIAL.outside
    check_lenders(MATERIAL, PROTOCOL)
    one_video = replace(MATERIAL, outside=outside.take(outside.videos == outside.videos[0]))
    with pytest.raises(InputError, match="are of one fold's videos or none, 12 in all"):
        check_lenders(one_video, PROTOCOL)
    with pytest.raises(InputError, match="are of one fold's videos or none, 0 in all"):
        check_lenders(replace(MATERIAL, outside=outside.take(outside.ids < 0)), PROTOCOL)
    check_lenders(one_video, replace(PROTOCOL, corruption=Corruption(replace_from="other-category")))


def test_a_share_of_the_samples_is_taken_before_corruption() -> None:
    whole, test = parts(MATERIAL, PROTOCOL, Point(0.5, 1.0, 3, 1))
    fourth, same_test = parts(MATERIAL, PROTOCOL, Point(0.5, 0.25, 3, 1))
    half, _ = parts(MATERIAL, PROTOCOL, Point(0.5, 0.5, 3, 1))
    assert (len(whole), len(fourth), (~fourth.truth.clean).sum()) == (144, 36, 18)
    assert set(fourth.ids) < set(half.ids) < set(whole.ids)
    np.testing.assert_array_equal(test.ids, same_test.ids)


def test_a_seed_says_all_to_the_bit() -> None:
    point = Point(0.4, 0.8, 4, 2)
    assert measure(MATERIAL, PROTOCOL, point) == measure(MATERIAL, PROTOCOL, point)
    shuffled = MATERIAL.clean.take(np.random.default_rng(0).permutation(len(MATERIAL.clean)))
    ids = parts(replace(MATERIAL, clean=shuffled), PROTOCOL, replace(point, share=1.0))[1].ids
    assert set(ids) == set(parts(MATERIAL, PROTOCOL, replace(point, share=1.0))[1].ids)


def test_filters_help_where_chance_does_not() -> None:
    found = measure(MATERIAL, PROTOCOL, Point(0.5, 1.0, 3, 0))
    unfiltered, random, joint = (found[name].scores for name in (UNFILTERED, RANDOM, "joint"))
    assert unfiltered.kept == unfiltered.samples == 144 and unfiltered.detection.precision == 0.5
    assert (unfiltered.detection.recall, unfiltered.detection.auroc) == (1.0, 0.5)
    assert random.kept == joint.kept < 144
    assert abs(random.detection.precision - 0.5) < 0.15 < joint.detection.precision - 0.5
    assert joint.classification_rate > unfiltered.classification_rate + 0.2
    assert joint.categories == 3 and list(joint.by_category) == list(CATEGORIES)
    assert joint.sounds.found.map > unfiltered.sounds.found.map + 0.2


def test_random_is_chance_over_many_draws() -> None:
    found = [measure(MATERIAL, PROTOCOL, Point(0.5, 1.0, seed, 0))[RANDOM].scores for seed in range(30)]
    assert np.mean([one.detection.auroc for one in found]) == pytest.approx(0.5, abs=0.02)
    assert len({one.detection.auroc for one in found}) > 5


def test_a_perfect_filter_scores_1() -> None:
    training, test = parts(MATERIAL, PROTOCOL, Point(0.7, 1.0, 3, 0))
    found = scores_of(training, Decision(training.truth.clean), test, categories=MATERIAL.categories, m=5)
    assert (found.detection.precision, found.detection.recall, found.detection.auroc) == (1.0, 1.0, 1.0)
    assert found.classification_rate == 1.0 and found.sounds.found.map == pytest.approx(1.0, abs=0.01)
    assert found.pictures.found.recall_1 == 1.0
    assert found.pictures.chance.recall_1 == pytest.approx(1 / 3, abs=0.05)
    unfiltered = scores_of(training, Decision(np.ones(len(training), bool)), test, categories=MATERIAL.categories, m=5)
    assert unfiltered.classification_rate < 1 / 3  # most retrieved sounds vote for no category
    nothing = scores_of(training, Decision(np.zeros(len(training), bool)), test, categories=MATERIAL.categories, m=5)
    assert (nothing.kept, nothing.classification_rate, nothing.categories) == (0, 0.0, 0)
    assert np.isnan(nothing.detection.precision) and nothing.sounds.found.recall_10 == 0
    assert np.isnan(nothing.sounds.chance.recall_10)


def votes(*sounds: str) -> LabelledSamples:
    collection = labelled(["dog"] * len(sounds), list(sounds), frames=1, seed=0)
    return replace(collection, visual=np.arange(len(sounds), dtype=np.float32)[:, None])


@pytest.mark.parametrize(
    ("sounds", "rate"),
    [
        (("dog", "dog", "sea", "sea", "dog"), 1.0),
        (("sea", "dog", "dog", "sea", "bell", "dog", "dog"), 0.5),  # the first five: a tie of two
        (("music", "speech", "dog", "dog", "music"), 0.0),  # three votes for no category
        (("music", "music", "dog", "dog", "sea"), 0.5),
        (("dog",), 1.0),  # fewer than five: all vote
    ],
)
def test_votes_by_hand(sounds: tuple[str, ...], rate: float) -> None:
    query = replace(labelled(["dog"], ["dog"], frames=1, seed=0), visual=np.zeros((1, 1), np.float32))
    found = classification_rate(votes(*sounds), query, categories=np.array(CATEGORIES), m=5)
    assert found == rate


def test_parameters_are_those_that_do_best_on_held_out_training_videos() -> None:
    point = Point(0.6, 1.0, 3, 2)
    protocol = replace(PROTOCOL, grid=GRID, inner_folds=3)
    best = choose(MATERIAL, protocol, strategy=JOINT, point=point)
    assert best in GRID
    worst = Parameters(40, 1)  # links nearly everything, so filters nothing
    assert choose(MATERIAL, replace(protocol, grid=(worst, *GRID)), strategy=JOINT, point=point) == best
    assert choose(MATERIAL, replace(protocol, grid=(worst, worst)), strategy=JOINT, point=point) == worst
    assert choose(MATERIAL, PROTOCOL, strategy=JOINT, point=point) is None
    assert choose(MATERIAL, protocol, strategy=Strategy(RANDOM), point=point) is None


def test_test_videos_have_no_say_in_the_choice() -> None:
    protocol, point = replace(PROTOCOL, grid=GRID), Point(0.6, 1.0, 3, 0)
    clean = MATERIAL.clean
    held_out = np.isin(clean.ids, parts(MATERIAL, protocol, point)[1].ids)
    noise = np.where(held_out[:, None], np.float32(0), np.float32(1))
    spoilt = replace(MATERIAL, clean=replace(clean, visual=clean.visual * noise, audio=clean.audio * noise))
    expected = choose(MATERIAL, protocol, strategy=SOUND, point=point)
    assert choose(spoilt, protocol, strategy=SOUND, point=point) == expected
    assert len({choose(MATERIAL, replace(protocol, seeds=(s, 4)), strategy=SOUND, point=replace(point, seed=s))
                for s in range(8)}) > 1  # fmt: skip


def test_chosen_parameters_go_into_every_step() -> None:
    two = Strategy("two", (*SOUND.steps, StepSettings(w_V=1.0, w_A=0.0, k=9, k_share=0.5, min_size=2)))
    steps = two.with_parameters(Parameters(7, 6))
    assert [(step.k, step.min_size, step.k_share) for step in steps] == [(7, 6, 1.0), (7, 6, 0.5)]
    assert two.with_parameters(None) == two.steps


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"strategies": ()}, "strategies = "),
        ({"strategies": (JOINT, JOINT)}, "each once"),
        ({"strategies": (Strategy(RANDOM),)}, "for random to keep as many as it"),
        ({"seeds": ()}, "seeds"),
    ],
)
def test_what_makes_no_experiment_is_refused(change: dict[str, tuple[Strategy, ...]], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        replace(PROTOCOL, **change).check()  # type: ignore[arg-type]


def test_a_k_that_fits_nowhere_is_refused() -> None:
    protocol = replace(PROTOCOL, grid=(Parameters(1000, 5), Parameters(500, 5)))
    with pytest.raises(ParameterError, match=r"evaluate.k = \[500, 1000\]: expected one below the 72 samples"):
        choose(MATERIAL, protocol, strategy=JOINT, point=Point(0.1, 1.0, 3, 0))
