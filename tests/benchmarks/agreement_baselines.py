"""Other ways to score whether picture and sound go together, to compare agreement with. Larger is better for all."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from avlib.agreement import ACROSS_VIDEOS
from avlib.arrays import Float64Array
from avlib.identity import video_ids
from avlib.neighbors import Block, nearest

CLUSTERS = 12


def looks_alike(samples: Block, *, neighbors: int) -> Float64Array:
    """Pictures alone: how near the samples of other videos are that look most alike."""
    return _near(samples, (1.0, 0.0), neighbors)


def sounds_alike(samples: Block, *, neighbors: int) -> Float64Array:
    """Sound alone."""
    return _near(samples, (0.0, 1.0), neighbors)


def clusters_agree(samples: Block, *, seed: int) -> Float64Array:
    """Pointwise mutual information of k-means clusters of both modalities (after ACAV100M, Lee et al. 2021)."""
    seen, heard = (_clusters(rows, seed) for rows in (samples.visual, samples.audio))
    counts = np.zeros((CLUSTERS, CLUSTERS))
    np.add.at(counts, (seen, heard), 1)
    joint = (counts + 0.5) / (counts + 0.5).sum()
    chance = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    return np.asarray(np.log(joint / chance)[seen, heard])


def sound_foretold(samples: Block, *, seed: int) -> Float64Array:
    """The probability of a sample's sound cluster, foretold from its picture by other videos (after cleanlab's
    self-confidence, Northcutt et al. 2021, with sound clusters in place of labels)."""
    heard, video = _clusters(samples.audio, seed), np.unique(video_ids(samples.ids), return_inverse=True)[1]
    fold = np.random.default_rng(seed).permutation(video.max() + 1)[video] % 5
    found = np.zeros(len(samples))
    for held_out in range(5):
        rows = fold == held_out
        model = LogisticRegression(C=10.0, max_iter=300).fit(samples.visual[~rows], heard[~rows])
        column = np.searchsorted(model.classes_, heard[rows]).clip(max=len(model.classes_) - 1)
        found[rows] = model.predict_proba(samples.visual[rows])[np.arange(rows.sum()), column]
    return found


def _near(samples: Block, weights: tuple[float, float], neighbors: int) -> Float64Array:
    lists = nearest(samples, [samples], weights=weights, k=neighbors, rule=ACROSS_VIDEOS)
    return np.asarray(-lists.distances.mean(axis=1), np.float64)


def _clusters(rows: np.ndarray, seed: int) -> np.ndarray:
    return np.asarray(KMeans(CLUSTERS, n_init=4, random_state=seed).fit_predict(rows))
