"""How much work a video is reckoned to be before it has been opened."""

from __future__ import annotations

import math

import pytest

from avlib.description import expected_work_s


def test_durations_count_and_sizes_where_there_is_none() -> None:
    sizes, durations_s = [1000, 4000, 600, None, None], [10.0, 40.0, None, 7.0, None]
    found = expected_work_s(sizes, durations_s, slice_s=300)
    assert found[:4] == [10.0, 40.0, pytest.approx(6.0), 7.0]  # 100 bytes a second
    assert found[4] > 0
    assert expected_work_s([], [], slice_s=300) == []


def test_of_a_video_to_be_sliced_the_sound_is_read_first() -> None:
    short, long = expected_work_s([1, 1], [300.0, 301.0], slice_s=300)
    assert long < short / 10


@pytest.mark.parametrize("odd", [0.0, -3.0, math.nan, math.inf])
def test_odd_durations_are_none(odd: float) -> None:
    assert expected_work_s([500, 1000], [odd, 10.0], slice_s=300) == [pytest.approx(5.0), 10.0]
