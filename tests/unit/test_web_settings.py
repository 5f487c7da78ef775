"""Settings that differ from one another: what the page offers by itself, it also takes."""

from __future__ import annotations

import numpy as np
import pytest
from page_server import served
from small_warehouse import SmallWarehouse

from avlib.config import load_settings
from avlib.errors import ConfigError
from avlib.retrieval.sounds import Sound
from avlib.retrieval.suggest import Wish
from avlib.web.forms import Form, usual_wish


def test_the_shortest_is_no_longer_than_the_longest() -> None:
    with pytest.raises(ConfigError, match=r"shortest_s lies at most at longest_s = 0.2"):
        load_settings(assignments=["suggest.longest_s=0.2"])
    load_settings(assignments=["suggest.longest_s=0.2", "suggest.shortest_s=0.2"])


@pytest.mark.parametrize(
    ("assignments", "wish"),
    [
        (["suggest.duration_s=30.0", "suggest.longest_s=1.0"], Wish(5, 1.0)),
        (["suggest.top=50", "serve.most=3"], Wish(3, 2.0)),
        (["suggest.duration_s=0.001"], Wish(5, 0.05)),
        (['suggest.duration_s="auto"'], Wish(5, None)),
    ],
)
def test_what_is_usual_is_within_the_limits(assignments: list[str], wish: Wish) -> None:
    settings = load_settings(assignments=assignments)
    assert usual_wish(settings) == wish == Form({}, {}).wish(settings)
    given = {"top": str(wish.top), "duration": "auto" if wish.duration_s is None else str(wish.duration_s)}
    assert Form({}, given).wish(settings) == wish


def test_short_sounds_and_their_moments_can_be_had(made: SmallWarehouse) -> None:
    settings = load_settings(assignments=["suggest.longest_s=0.5", "suggest.top=30"])
    with served(made.uri, settings) as page:
        about = page.get("/api/collection").values
        assert about["defaults"] == {"top": 20, "duration": 0.5}
        reply = page.post("/api/sounds", {"picture": made.queries["red"].read_bytes()}, **about["defaults"])
        assert reply.status == 200, reply.body
        one = reply.values["suggestions"][0]
        assert [page.get(one[name]).status for name in ("frame", "sound")] == [200, 200]
        assert page.get(f"/api/sounds/{one['sample_id']}.wav").status == 200


def test_a_video_with_next_to_no_sound(made: SmallWarehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    click = Sound(np.zeros((5, 1), np.float32), 16_000, 0.0)
    monkeypatch.setattr("avlib.web.engine.cut", lambda *_, **__: click)
    with served(made.uri, load_settings(assignments=["serve.cache_bytes=0"])) as page:
        reply = page.post("/api/sounds", {"picture": made.queries["red"].read_bytes()}, top=1)
        assert page.get(reply.values["suggestions"][0]["sound"]).status == 200
