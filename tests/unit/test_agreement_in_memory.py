"""Agreement as a whole: what recurs with the same pictures scores high, what recurs with every picture does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from labelled_samples import CATEGORIES, OUTSIDE, labelled
from sklearn.metrics import roc_auc_score

from avlib.agreement import Described, Scored, agreement_in_memory
from avlib.config import AgreementSettings, load_settings
from avlib.errors import ParameterError
from avlib.evaluation.material import LabelledSamples
from avlib.identity import video_ids


def settings(**values: object) -> AgreementSettings:
    return load_settings().agreement.model_copy(update={"audio": ("audio_mfcc65",)} | values)


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
    found = agreement_in_memory(samples.described(), settings())
    assert auroc(samples, found) > 0.97
    of_others = found.scores[~samples.truth.clean]
    assert of_others.mean() < 0.2 and found.scores[samples.truth.clean].mean() > 0.4
    assert samples.truth.clean[found.kept].mean() > 0.9
    assert found.kept[samples.truth.clean].mean() > 0.4
    assert found.videos[samples.truth.clean].mean() > 1.5 * found.videos[~samples.truth.clean].mean()


def dealt_by_video(samples: Described, *, seed: int) -> Described:
    """Every video with the sounds of another one: stretches stay, and all is accident."""
    videos = video_ids(samples.ids)
    order = np.random.default_rng(seed).permutation(np.unique(videos))
    giver = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    rows = np.concatenate([np.flatnonzero(videos == giver[video]) for video in np.unique(videos).tolist()])
    return replace(samples, sounds=(samples.sounds[0][rows],))


def test_of_accident_little_is_kept() -> None:
    """Videos that show one of five kinds of things and sound like any of them, or like another."""
    kept = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        words = [*CATEGORIES, *OUTSIDE]
        pictures, sounds = ([words[kind] for kind in random.integers(0, len(words), 48)] for _ in range(2))
        samples = labelled(pictures, sounds, frames=12, seed=seed, spread=0.9).described()
        kept.append(agreement_in_memory(samples, settings()).kept.mean())
    assert np.mean(kept) < 0.2


def test_sounds_of_other_videos_leave_less_than_was_kept() -> None:
    samples = noisy(videos_each=10).described()
    whole, dealt = (agreement_in_memory(one, settings()) for one in (samples, dealt_by_video(samples, seed=1)))
    assert dealt.kept.mean() < 0.5 * whole.kept.mean()


def test_does_not_fade_as_videos_multiply() -> None:
    few, many = noisy(videos_each=5, frames=6, spread=1.4), noisy(videos_each=60, frames=6, spread=1.4)
    rates = [auroc(samples, agreement_in_memory(samples.described(), settings())) for samples in (few, many)]
    assert 0.6 < rates[0] < 0.97  # there is something to lose
    assert rates[1] > rates[0] - 0.03


def test_scores_hang_on_the_seed_alone() -> None:
    samples = noisy(videos_each=6).described()
    one, other = (agreement_in_memory(samples, settings(seed=3)) for _ in range(2))
    assert np.array_equal(one.scores, other.scores) and one.threshold == other.threshold
    assert not np.array_equal(one.scores, agreement_in_memory(samples, settings(seed=4, references=40)).scores)


def test_keep_asks_for_a_share() -> None:
    samples = noisy(videos_each=6)
    found = agreement_in_memory(samples.described(), settings(keep=0.25))
    assert found.kept.mean() == pytest.approx(0.25, abs=0.03)


def test_one_video_has_nobody_to_ask() -> None:
    samples = noisy(videos_each=1)
    one = samples.take(samples.videos == samples.videos[0]).described()
    with pytest.raises(ParameterError, match="videos"):
        agreement_in_memory(one, settings())


def test_black_pictures_are_no_reason() -> None:
    """Zero descriptors stay zero, and all zeros are equally near."""
    samples = noisy(videos_each=4).described()
    found = agreement_in_memory(replace(samples, visual=0 * samples.visual), settings())
    assert found.scores.mean() < 0.1
    visual, audio = samples.visual.copy(), samples.sounds[0].copy()
    visual[::7], audio[::11] = 0, 0
    found = agreement_in_memory(replace(samples, visual=visual, sounds=(audio,)), settings())
    assert np.isfinite(found.scores).all()


def test_two_descriptors_of_a_sound_tell_more_than_either() -> None:
    """Of the sound's place among others one knows half of the numbers, the other the rest."""
    samples = noisy(videos_each=10, spread=1.2)
    halves = tuple(replace(samples, sounds=(samples.audio[:, part],)) for part in (slice(0, 5), slice(5, 10)))
    both = replace(samples, sounds=(halves[0].sounds[0], halves[1].sounds[0]))
    alone = [auroc(samples, agreement_in_memory(half.described(), settings())) for half in halves]
    two = settings(audio=("audio_mfcc65", "audio_context"))
    assert auroc(samples, agreement_in_memory(both.described(), two)) > max(alone) + 0.01
    with pytest.raises(ParameterError, match="sounds"):
        agreement_in_memory(both.described(), settings())


def test_samples_in_another_order_are_refused() -> None:
    samples = noisy(videos_each=1).described()
    with pytest.raises(ParameterError, match="ascending"):
        agreement_in_memory(samples.take(np.arange(len(samples.ids))[::-1]), settings())
