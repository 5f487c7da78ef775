"""The user study: queries of all videos, and for each the sound that an arm gives, found here by brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from labelled_samples import CATEGORIES, material

from avlib.config import StepSettings
from avlib.errors import ParameterError
from avlib.evaluation.corruption import Corruption
from avlib.evaluation.protocol import UNFILTERED, Parameters, Point, Protocol, Strategy, keep, parts
from avlib.evaluation.study import TRUTH, Pairing, draw_queries, pairings
from avlib.identity import video_ids
from avlib.neighbors import NeighborRule

MATERIAL = material()
JOINT = Strategy("joint", (StepSettings(w_V=0.5, w_A=0.5, k=6, min_size=16),))
NOTHING = Strategy("nothing", (StepSettings(w_V=0.5, w_A=0.5, k=2, min_size=10_000),))
PROTOCOL = Protocol((Strategy(UNFILTERED), JOINT, NOTHING), NeighborRule(), Corruption(), grid=(), folds=3)
QUERIES = draw_queries(MATERIAL.clean, each=8, seed=0)


def paired(protocol: Protocol = PROTOCOL, *, ratio: float = 0.6, truth: bool = True) -> list[Pairing]:
    points = [Point(ratio, 1.0, 0, fold) for fold in range(3)]
    return [one for p in points for one in pairings(MATERIAL, protocol, point=p, queries=QUERIES, truth=truth)]


def test_queries_are_of_every_category_and_of_as_many_videos_as_can_be() -> None:
    clean = MATERIAL.clean
    rows = np.searchsorted(clean.ids, QUERIES)
    words, counts = np.unique(clean.truth.picture[rows], return_counts=True)
    assert (words.tolist(), counts.tolist()) == (list(CATEGORIES), [8, 8, 8])
    assert len(set(QUERIES.tolist())) == 24
    of_video = np.unique(clean.videos[rows], return_counts=True)[1]
    assert sorted(of_video) == [1] * 12 + [2] * 6  # 6 videos of each category
    shuffled = clean.take(np.random.default_rng(1).permutation(len(clean)))
    np.testing.assert_array_equal(draw_queries(shuffled, each=8, seed=0), QUERIES)
    assert set(draw_queries(clean, each=8, seed=1)) != set(QUERIES)
    assert set(draw_queries(clean, each=72, seed=0)) == set(clean.ids)
    with pytest.raises(ParameterError, match="each = 73: expected 1 to the number of clean samples of bell, 72"):
        draw_queries(clean, each=73, seed=0)


@pytest.mark.parametrize("replace_from", ["outside", "other-category"])
def test_arms_give_the_sound_of_the_nearest_picture(replace_from: str) -> None:
    protocol = replace(PROTOCOL, corruption=Corruption(replace_from=replace_from))  # type: ignore[arg-type]
    found = {(one.arm, one.query_id): one.sound_id for one in paired(protocol)}
    assert len(found) == 3 * len(QUERIES)  # truth, unfiltered and joint; nothing of what keeps nothing
    replaced = 0
    for fold in range(3):
        training, test = parts(MATERIAL, protocol, Point(0.6, 1.0, 0, fold))
        kept = keep(training, JOINT.steps, protocol.rule)
        assert 0 < kept.sum() < len(training)
        for query in set(test.ids.tolist()) & set(QUERIES.tolist()):
            picture = test.visual[test.ids == query].astype(np.float64)
            away = np.linalg.norm(training.visual - picture, axis=1)
            nearest, nearest_kept = away.argmin(), np.where(kept, away, np.inf).argmin()
            assert found[TRUTH, query] == query
            assert found[UNFILTERED, query] == training.sound_ids[nearest]
            assert found["joint", query] == training.sound_ids[nearest_kept]
            replaced += int(not training.truth.clean[nearest])
    assert replaced > 5  # the sound of another sample than the picture's
    assert not any(video_ids(np.array(query)) == video_ids(np.array(sound)) for (arm, query), sound in found.items()
                   if arm != TRUTH)  # fmt: skip


def test_without_truth_and_without_corruption() -> None:
    found = paired(ratio=0.0, truth=False)
    assert {one.arm for one in found} == {UNFILTERED, "joint"}
    assert {one.sound_id for one in found} <= set(MATERIAL.clean.ids.tolist())


def test_parameters_are_chosen_inside_the_training_part() -> None:
    grid = (Parameters(6, 16), Parameters(6, 10_000))
    found = paired(replace(PROTOCOL, grid=grid))
    assert {one.arm for one in found} == {TRUTH, UNFILTERED, "joint", "nothing"}  # whose size was chosen, too
