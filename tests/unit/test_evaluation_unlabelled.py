"""Without labels: what is kept because picture and sound go together falls apart when sounds are shuffled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from labelled_samples import CATEGORIES, labelled
from sklearn.metrics import cohen_kappa_score

from avlib.config import StepSettings, load_settings
from avlib.errors import ParameterError
from avlib.evaluation.protocol import Strategy
from avlib.evaluation.unlabelled import Observed, kappa, kept_components, trial
from avlib.filtering import filter_in_memory
from avlib.neighbors import NeighborRule

RULE = NeighborRule()
JOINT = Strategy("joint", (StepSettings(w_V=0.5, w_A=0.5, k=24, min_size=30),))
SEEN = Strategy("seen", (StepSettings(w_V=1.0, w_A=0.0, k=24, min_size=30),))


def samples(*, videos_each: int = 8) -> Observed:
    of_videos = [category for category in CATEGORIES for _ in range(videos_each)]
    found = labelled(of_videos, of_videos, frames=10, seed=0, spread=0.2)
    return Observed(found.normalised(), found.described().sounds)


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_kappa_equals_scikit_learn(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.random(count) < 0.6, random.random(count) < 0.4
    assume(one.any() and not one.all())
    assert kappa(one, other) == pytest.approx(cohen_kappa_score(one, other))


def test_kappa_of_nothing_and_of_all() -> None:
    assert math.isnan(kappa(np.zeros(0, bool), np.zeros(0, bool)))
    assert math.isnan(kappa(np.ones(3, bool), np.ones(3, bool)))
    assert kappa(np.array([1, 0], bool), np.array([1, 0], bool)) == 1
    assert kappa(np.array([1, 0], bool), np.array([0, 1], bool)) == -1


def test_components_by_size_and_videos() -> None:
    given_samples = samples()
    found = kept_components(given_samples, strategy=JOINT, rule=RULE)
    assert [(one.samples, one.videos) for one in found] == [(80, 8)] * 3
    assert [one.component_id for one in found] == [int(given_samples.samples.ids[row]) for row in (0, 80, 160)]
    last = filter_in_memory(given_samples.samples, steps=JOINT.steps, rule=RULE)[-1]
    assert sum(one.samples for one in found) == len(last.sample_ids)
    nothing = Strategy("nothing", (StepSettings(w_V=0.5, w_A=0.5, k=24, min_size=1000),))
    assert kept_components(given_samples, strategy=nothing, rule=RULE) == []


def test_shuffled_sound_leaves_nothing_to_a_filter_that_listens() -> None:
    listening, looking = (trial(samples(), strategy=strategy, rule=RULE, seed=1) for strategy in (JOINT, SEEN))
    assert listening.shuffled_share < 0.5
    assert looking.shuffled_share == 1.0  # it never heard them


def test_of_three_categories_shuffled_a_third_agrees_still() -> None:
    settings = load_settings(assignments=['agreement.audio=["audio_mfcc65"]']).agreement
    agreement = Strategy("agreement", JOINT.steps, settings)
    whole = kept_components(samples(), strategy=agreement, rule=RULE)
    assert sum(one.samples for one in whole) > 0.9 * len(samples().samples)
    assert 0.2 < trial(samples(), strategy=agreement, rule=RULE, seed=1).shuffled_share < 0.4


def test_halves_agree_where_nothing_is_left_to_chance() -> None:
    steady = Strategy("steady", (StepSettings(w_V=0.5, w_A=0.5, k=9, min_size=1),))
    found = trial(samples(), strategy=steady, rule=RULE, seed=1)
    assert found.agreement == 1.0 and math.isnan(found.kappa)
    assert found.shared == 50  # five videos that both halves of 24 have
    large = Strategy("large", (StepSettings(w_V=0.5, w_A=0.5, k=9, min_size=40),))
    unsteady = trial(samples(), strategy=large, rule=RULE, seed=1)  # a category has more than 40 in one half only
    assert unsteady.agreement < 1.0


def test_a_seed_says_all() -> None:
    unsure = Strategy("unsure", (StepSettings(w_V=0.5, w_A=0.5, k=3, min_size=12),))
    trials = [trial(samples(), strategy=unsure, rule=RULE, seed=seed) for seed in (0, 1, 0)]
    assert repr(trials[0]) == repr(trials[2]) != repr(trials[1])


def test_few_videos_are_refused() -> None:
    with pytest.raises(ParameterError, match="videos = 3: expected 4 at least"):
        trial(samples(videos_each=1), strategy=JOINT, rule=RULE, seed=0)
