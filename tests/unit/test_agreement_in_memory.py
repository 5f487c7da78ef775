"""Agreement as a whole: what recurs with the same pictures scores high, what recurs with every picture does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from labelled_samples import CATEGORIES, OUTSIDE, labelled
from sklearn.metrics import roc_auc_score

from avlib.agreement import Scored, agreement_in_memory
from avlib.config import AgreementSettings, load_settings
from avlib.errors import ParameterError
from avlib.evaluation.material import LabelledSamples
from avlib.neighbors import Block


def settings(**values: object) -> AgreementSettings:
    return load_settings().agreement.model_copy(update=values)


def noisy(*, videos_each: int, frames: int = 10, seed: int = 0, spread: float = 0.9) -> LabelledSamples:
    """Of every category so many videos with its sound, and as many under a voice or music."""
    pictures = [category for category in CATEGORIES for _ in range(2 * videos_each)]
    sounds = [
        category if number % 2 else OUTSIDE[number // 2 % 2]
        for category in CATEGORIES
        for number in range(2 * videos_each)
    ]
    return labelled(pictures, sounds, frames=frames, seed=seed, spread=spread)


def auroc(samples: LabelledSamples, found: Scored) -> float:
    return float(roc_auc_score(samples.truth.clean, found.scores))


def test_sounds_that_go_with_every_picture_score_low() -> None:
    samples = noisy(videos_each=10)
    found = agreement_in_memory(samples.normalised(), settings())
    assert auroc(samples, found) > 0.97
    of_others = found.scores[~samples.truth.clean]
    assert of_others.mean() < 0.2 and found.scores[samples.truth.clean].mean() > 0.4
    assert samples.truth.clean[found.kept].mean() > 0.9
    assert found.kept[samples.truth.clean].mean() > 0.6
    assert found.videos[samples.truth.clean].mean() > 2 * found.videos[~samples.truth.clean].mean()


def test_shuffled_sound_leaves_next_to_nothing() -> None:
    samples = noisy(videos_each=10)
    block = samples.normalised()
    order = np.random.default_rng(1).permutation(len(block))
    found = agreement_in_memory(replace(block, audio=block.audio[order]), settings())
    assert abs(found.scores.mean()) < 0.05 and found.kept.mean() < 0.12


def test_does_not_fade_as_videos_multiply() -> None:
    few, many = noisy(videos_each=5, frames=6, spread=1.4), noisy(videos_each=60, frames=6, spread=1.4)
    rates = [auroc(samples, agreement_in_memory(samples.normalised(), settings())) for samples in (few, many)]
    assert 0.6 < rates[0] < 0.97  # there is something to lose
    assert rates[1] > rates[0] - 0.03


def test_scores_are_the_same_for_the_same_seed_and_for_any_video_numbers_order() -> None:
    block = noisy(videos_each=6).normalised()
    one, other = (agreement_in_memory(block, settings(seed=3)) for _ in range(2))
    assert np.array_equal(one.scores, other.scores) and one.threshold == other.threshold
    assert not np.array_equal(one.scores, agreement_in_memory(block, settings(seed=4, references=40)).scores)


def test_keep_asks_for_a_share() -> None:
    samples = noisy(videos_each=6)
    found = agreement_in_memory(samples.normalised(), settings(keep=0.25))
    assert found.kept.mean() == pytest.approx(0.25, abs=0.03)


def test_one_video_has_nobody_to_ask() -> None:
    samples = noisy(videos_each=1)
    one = samples.take(samples.videos == samples.videos[0]).normalised()
    with pytest.raises(ParameterError, match="videos"):
        agreement_in_memory(one, settings())


def test_black_pictures_and_silence_are_not_a_reason() -> None:
    """Zero descriptors stay zero, and all zeros are equally near."""
    block = noisy(videos_each=4).normalised()
    visual, audio = block.visual.copy(), block.audio.copy()
    visual[::7], audio[::11] = 0, 0
    found = agreement_in_memory(Block(block.ids, visual, audio, block.times_s), settings())
    assert np.isfinite(found.scores).all()
