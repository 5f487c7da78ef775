"""labels.csv: what it says of a sample, and what it refuses."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avlib.errors import InputError, ParameterError
from avlib.evaluation import Cleanliness, read_labels

HEADER = "video,start_s,end_s,picture_category,sound_category,is_clean\n"


def _write(folder: Path, text: str, header: str = HEADER) -> Path:
    path = folder / "labels.csv"
    path.write_text(header + text, encoding="utf-8")
    return path


def test_a_time_gets_the_stretch_it_falls_into(tmp_path: Path) -> None:
    labels = read_labels(_write(tmp_path, "b.mp4,2,4,sea,voice,0\na.mp4,0,1.5,dog,dog,1\nb.mp4,0,2,sea,sea,1\n"))
    truth = labels.at(["b.mp4", "b.mp4", "a.mp4", "b.mp4"], np.array([2.0, 1.999, 0.0, 3.9]))
    assert truth.picture.tolist() == ["sea", "sea", "dog", "sea"]
    assert truth.sound.tolist() == ["voice", "sea", "dog", "voice"]
    assert truth.clean.tolist() == [False, True, True, False]
    assert truth.labelled.all()
    assert labels.videos == ("a.mp4", "b.mp4")


def test_outside_every_stretch_there_is_no_label(tmp_path: Path) -> None:
    labels = read_labels(_write(tmp_path, "a.mp4,1,2,dog,dog,1\na.mp4,3,4,dog,dog,1\n"))
    truth = labels.at(["a.mp4"] * 4 + ["other.mp4"], np.array([0.5, 2.0, 4.0, 1.0, 1.0]))
    assert truth.labelled.tolist() == [False, False, False, True, False]
    assert truth.sound.tolist() == ["", "", "", "dog", ""]
    assert truth.clean.tolist() == [False, False, False, True, False]


def test_clean_share_counts_labelled_samples_only(tmp_path: Path) -> None:
    labels = read_labels(_write(tmp_path, "a.mp4,0,1,dog,dog,1\na.mp4,1,3,dog,voice,0\n"))
    truth = labels.at(["a.mp4"] * 5, np.array([0.0, 0.5, 1.0, 2.0, 9.0]))
    found = Cleanliness.of(truth)
    assert (found.samples, found.labelled, found.clean, found.share) == (5, 4, 2, 0.5)
    assert Cleanliness.of(truth.take(np.array([0, 1]))).share == 1.0
    assert np.isnan(Cleanliness.of(truth.take(np.array([], np.int64))).share)


def test_more_columns_in_any_order_and_spelled_out_booleans(tmp_path: Path) -> None:
    header = "note,is_clean,video,sound_category,picture_category,start_s,end_s\n"
    labels = read_labels(_write(tmp_path, "x,TRUE,a b.mp4,sea,sea,0,1\n,false,a b.mp4,sea,dog,1,2\n", header))
    assert labels.at(["a b.mp4", "a b.mp4"], np.array([0.5, 1.5])).clean.tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no labels"),
        ("a.mp4,2,1,dog,dog,1\n", "row 1 runs from 2.0 to 1.0 s"),
        ("a.mp4,0,1,dog,dog,1\na.mp4,nan,2,dog,dog,1\n", "row 2"),
        ("a.mp4,0,2,dog,dog,1\nb.mp4,0,9,dog,dog,1\na.mp4,1.5,3,dog,sea,0\n", "rows 1 and 3 of a.mp4 overlap"),
        ("a.mp4,0,2,dog,dog,maybe\n", "row 1 has is_clean = 'maybe': write 1 or 0"),
        ("a.mp4,zero,2,dog,dog,1\n", "not a labels file"),
        ("a.mp4,,2,dog,dog,1\n", "row 1 has no start_s"),
        ("a.mp4,0,2,,dog,1\n", "row 1 has no picture_category"),
    ],
)
def test_wrong_rows_are_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(InputError) as raised:
        read_labels(path)
    assert says in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_columns_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column sound_category, is_clean"):
        read_labels(_write(tmp_path, "a.mp4,0,1,dog\n", "video,start_s,end_s,picture_category\n"))
    with pytest.raises(InputError, match=r"nothing\.csv: cannot be read"):
        read_labels(tmp_path / "nothing.csv")


def test_names_and_times_must_pair(tmp_path: Path) -> None:
    labels = read_labels(_write(tmp_path, "a.mp4,0,1,dog,dog,1\n"))
    with pytest.raises(ParameterError, match="videos"):
        labels.at(["a.mp4"], np.array([0.0, 1.0]))


@given(
    cuts=st.lists(st.integers(0, 60), min_size=2, max_size=8, unique=True).map(sorted),
    times=st.lists(st.integers(0, 240), max_size=30),
)
def test_lookup_equals_a_scan_of_all_stretches(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], times: list[int]
) -> None:
    stretches = [(a, b, f"c{a}") for a, b in pairwise(cuts) if a % 3]  # with gaps
    if not stretches:
        return
    text = "".join(f"v.mp4,{a},{b},{name},{name},1\n" for a, b, name in stretches)
    labels = read_labels(_write(tmp_path_factory.mktemp("labels"), text))
    seconds = [time / 4 for time in times]
    found = labels.at(["v.mp4"] * len(times), np.array(seconds, np.float64)).sound.tolist()
    assert found == [next((name for a, b, name in stretches if a <= t < b), "") for t in seconds]


def test_the_test_collection_can_be_read(shared_data: Path) -> None:
    path = shared_data / "collection" / "labels.csv"
    labels = read_labels(path)
    assert len(labels.videos) == 48
    truth = labels.at(["v000.avi", "v000.avi"], np.array([0.1, 5.0]))
    assert truth.sound.tolist() == ["silence", "dog"]
    assert truth.clean.tolist() == [False, True]
