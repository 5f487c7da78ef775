"""What labels make of loud samples: what an experiment uses, what it leaves out and says, what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avlib.descriptors import DescriptorStats, normalise_audio
from avlib.errors import InputError
from avlib.evaluation import SampleSet, read_labels
from avlib.evaluation.material import Exclusions, Material, find_material
from avlib.identity import sample_ids

HEADER = "video,start_s,end_s,picture_category,sound_category,is_clean\n"

# One sample at 0, 1, 2 and 3 s of each of these videos.
VIDEOS = ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.mp4")

LABELS = """\
a.mp4,0,2,dog,dog,1
a.mp4,2,4,dog,speech,0
b.mp4,0,1.5,dog,dog,1
b.mp4,2,4,dog,sea,0
c.mp4,0,4,sea,sea,1
d.mp4,0,2,sea,sea,1
d.mp4,2,4,sea,silence,0
e.mp4,0,3,bell,bell,1
e.mp4,3,4,misc,music,0
gone.mp4,0,1,dog,dog,1
"""


def find(folder: Path, text: str, uris: tuple[str, ...] = VIDEOS) -> tuple[Material, Exclusions]:
    path = folder / "labels.csv"
    path.write_text(HEADER + text, encoding="utf-8")
    ids = np.concatenate([sample_ids(video, np.arange(4) * 25) for video in range(len(uris))])
    samples = SampleSet(ids, np.repeat([f"/videos/{uri}" for uri in uris], 4), (ids & 0xFFFFFF) / 25)
    values = np.arange(len(ids), dtype=np.float32)[:, None]
    return find_material(samples, visual=values + np.float32([0, 1]), audio=values, labels=read_labels(path))


def test_samples_are_sorted_by_their_labels(tmp_path: Path) -> None:
    found, excluded = find(tmp_path, LABELS)
    assert found.categories.tolist() == ["dog", "sea"]
    assert found.clean.audio[:, 0].tolist() == [0, 1, 4, 5, 8, 9, 10, 11, 12, 13]
    assert found.clean.visual[:, 1].tolist() == [1, 2, 5, 6, 9, 10, 11, 12, 13, 14]
    assert found.clean.truth.clean.all()
    # Speech and music; neither silence, nor the sea under a dog, nor the bell that is in one video only.
    assert found.outside.truth.sound.tolist() == ["speech", "speech", "music"]
    assert found.outside.audio[:, 0].tolist() == [2, 3, 19]
    assert excluded == Exclusions(("gone.mp4",), ("bell",), in_gaps=0, not_clean=7, lone=3)
    assert excluded.lines() == [
        "1 labelled videos have no samples here: gone.mp4",
        "7 samples are not clean",
        "3 samples of bell: clean in one video only",
    ]


def test_gaps_are_counted(tmp_path: Path) -> None:
    _, excluded = find(tmp_path, LABELS.replace("c.mp4,0,4", "c.mp4,0,2.5").replace("gone", "other"))
    assert excluded.in_gaps == 1
    assert excluded.lines()[:2] == [
        "1 labelled videos have no samples here: other.mp4",
        "1 samples lie in gaps between labels",
    ]


@pytest.mark.parametrize(
    ("text", "uris", "says"),
    [
        ("z.mp4,0,1,dog,dog,1\n", VIDEOS, "of 20 loud samples none is clean by the labels"),
        ("a.mp4,0,4,dog,dog,1\nb.mp4,0,4,dog,dog,1\n", VIDEOS, "clean samples are of dog: two categories are needed"),
        (
            "a.mp4,0,4,dog,dog,1\nb.mp4,0,4,sea,sea,1\n",
            VIDEOS,
            "clean samples are of dog, sea: two categories are needed",
        ),
        (LABELS, ("a.mp4", "more/a.mp4", "c.mp4"), "two videos are called a.mp4"),
    ],
)
def test_what_shows_nothing_is_refused(tmp_path: Path, text: str, uris: tuple[str, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        find(tmp_path, text, uris)


def test_sound_is_standardised_among_the_samples_at_hand(tmp_path: Path) -> None:
    clean = find(tmp_path, LABELS)[0].clean.take(np.array([0, 3, 8]))
    audio = clean.audio.astype(np.float64)
    stats = DescriptorStats(audio.mean(axis=0), audio.std(axis=0), 3)
    np.testing.assert_allclose(clean.normalised().audio, normalise_audio(clean.audio, stats), atol=1e-6)
