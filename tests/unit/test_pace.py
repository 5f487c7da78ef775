"""The rate and the time that is left, as they are said."""

from __future__ import annotations

import pytest

from avlib.spark.progress import Pace


@pytest.mark.parametrize(
    ("seconds", "done", "said"),
    [
        (0, 10, "10/40 tasks"),
        (5, 10, "10/40 tasks"),
        (10, 20, "20/40 tasks, 1 tasks/s, 20 s left"),
        (600, 20, "20/40 tasks, 0.0167 tasks/s, 20 min left"),
        (36000, 20, "20/40 tasks, 0.000278 tasks/s, 20.0 h left"),
    ],
)
def test_pace(seconds: float, done: int, said: str) -> None:
    now = [100.0]
    pace = Pace(lambda: now[0])
    pace.begin(10)  # that were done before
    now[0] += seconds
    assert pace.said(done, 40, "tasks") == said
