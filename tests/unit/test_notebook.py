"""Three lines in a notebook, and what the command line makes of the same queries."""

from __future__ import annotations

import base64
import io
import json
import socket
from pathlib import Path

import deltalake
import numpy as np
import pytest
import soundfile
from PIL import Image
from small_warehouse import RATE_HZ, SmallWarehouse, make_warehouse, sounds

from avlib import tables
from avlib.cli import main
from avlib.errors import InputError, WarehouseError
from avlib.notebook import open_warehouse
from avlib.retrieval.search import Neighbor
from avlib.retrieval.suggest import _of_each_event


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallWarehouse:
    return make_warehouse(tmp_path_factory.mktemp("small"))


def told(arguments: list[str], capsys: pytest.CaptureFixture[str], *, code: int = 0) -> list[dict[str, object]]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert (exit_.value.code or 0) == code
    answers: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return answers


def test_three_lines(made: SmallWarehouse, tmp_path: Path) -> None:
    suggestions = open_warehouse(made.uri).suggest(made.queries["blue"], top=3, duration_s=1.2)
    player = suggestions[0].play()._repr_html_()
    waveform, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(player.partition("base64,")[2].partition('"')[0])))
    assert len(waveform) / rate_hz == pytest.approx(1.2)
    assert len(suggestions) == 3 and "blue.mp4 at" in repr(suggestions[0])
    assert suggestions[0].save(tmp_path / "a.mp4").stat().st_size > 1000
    assert soundfile.info(suggestions[0].save(tmp_path / "a.wav")).duration == pytest.approx(1.2)
    with pytest.raises(InputError, match=r"ends in \.wav or \.mp4"):
        suggestions[0].save(tmp_path / "a.txt")


def test_a_sound_asks_for_pictures(made: SmallWarehouse, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", sounds()["red"][RATE_HZ : 3 * RATE_HZ], RATE_HZ)
    with open_warehouse(made.uri) as collection:
        first = collection.suggest(tmp_path / "tone.wav", top=1)[0]
        assert first.sample.uri.endswith("red.mp4")
        assert np.asarray(first.picture()).mean(axis=(0, 1)).argmax() == 0


def test_the_command_gives_the_same_and_more(
    made: SmallWarehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write(tmp_path / "tone.wav", sounds()["red"][RATE_HZ : 3 * RATE_HZ], RATE_HZ)
    (tmp_path / "no.wav").write_text("no sound")
    queries = [str(made.queries["green"]), str(tmp_path / "tone.wav"), str(tmp_path / "no.wav")]
    options = ["-w", made.uri, "--out", str(tmp_path / "out"), "--json", "--top", "2"]
    picture, sound, none = told(["suggest", *queries, *options, "--duration", "auto", "--mux"], capsys, code=2)
    assert none["error"] == f"{tmp_path}/no.wav is not a sound avlib can read: it is not a media file of a known format"
    for one in picture["suggestions"]:
        assert soundfile.info(one["file"]).duration == pytest.approx(one["duration_s"])
        assert one["duration_s"] == pytest.approx(6.0, abs=0.1)  # it goes on for the whole video
        assert Path(one["film"]).suffix == ".mp4" and Path(one["film"]).is_file()
    assert sound["suggestions"][0]["uri"].endswith("red.mp4")
    assert all(Image.open(one["file"]).size == (448, 448) for one in sound["suggestions"])
    for query, answer in zip(queries, (picture, sound), strict=False):
        wanted = open_warehouse(made.uri).suggest(query, top=2, duration_s="auto")
        assert [one["sample_id"] for one in answer["suggestions"]] == [one.sample.sample_id for one in wanted]


@pytest.mark.parametrize("diverse", [False, True])
def test_sounds_as_long_as_their_events_are_suggested_once(diverse: bool, made: SmallWarehouse) -> None:
    """Each video is one event, of which all its samples would give the same sound."""
    with open_warehouse(made.uri) as collection:
        query = made.queries["green"]
        of_length = collection.suggest(query, top=5, duration_s=1.0)
        whole = collection.suggest(query, top=5, duration_s="auto", diverse=diverse)
    videos = [Path(one.sample.uri).stem for one in whole]
    assert videos[0] == "green" and sorted(videos) == sorted(set(videos))
    assert len(videos) == 3
    assert {Path(one.sample.uri).stem for one in of_length} == {"green"}  # other samples, other stretches
    assert whole[0].sample.sample_id == of_length[0].sample.sample_id


def neighbors_at(*places: tuple[str, float]) -> list[Neighbor]:
    """Samples of videos at times, one behind the other."""
    sound = np.zeros(2, np.float32)
    return [Neighbor(row, uri, time_s, 0, sound, distance=row / 100) for row, (uri, time_s) in enumerate(places)]


def event_of(one: Neighbor) -> tuple[float, float] | None:
    return None if one.uri == "gone" else (one.time_s - 1, one.time_s + 1)


def test_one_of_each_event_is_looked_for_until_there_are_enough() -> None:
    """A shot of 100 samples, then one of another video, then two of one that nobody can open, then more events."""
    shot = [("a", 5 + row / 100) for row in range(100)]
    others = [("gone", 1.0), ("gone", 9.0), ("a", 6.5), ("b", 4.5), ("c", 1.0), ("a", 7.2), ("d", 1.0)]
    samples = neighbors_at(*shot, ("b", 5.5), *others)
    asked: list[int] = []

    def nearest(*, count: int) -> list[Neighbor]:
        asked.append(count)
        return samples[:count]

    found = _of_each_event(nearest, event_of, count=5, per_video=5)
    assert [(one.uri, one.time_s) for one in found] == [("a", 5.0), ("b", 5.5), ("gone", 1), ("a", 6.5), ("c", 1)]
    assert [one.event for one in found] == [(4, 6), (4.5, 6.5), None, (5.5, 7.5), (0, 2)]
    assert asked == [20, 80, 320]
    assert len(_of_each_event(nearest, event_of, count=50, per_video=50)) == 6  # all there are
    assert [one.uri for one in _of_each_event(nearest, event_of, count=4, per_video=1)] == ["a", "b", "gone", "c"]


def test_more_of_the_nearest_need_not_begin_with_fewer() -> None:
    """As where an index looks into more cells for them."""
    first = neighbors_at(*[("a", 5 + row / 100) for row in range(8)])
    nearer = Neighbor(99, "b", 1.0, 0, np.zeros(2, np.float32), distance=-1.0)
    last = Neighbor(100, "c", 1.0, 0, np.zeros(2, np.float32), distance=9.0)
    found = _of_each_event(
        lambda *, count: first if count == 8 else [nearer, *first, last], event_of, count=2, per_video=2
    )
    assert [one.uri for one in found] == ["b", "a"]


def test_an_event_that_holds_an_earlier_one_is_the_same() -> None:
    samples = neighbors_at(("a", 5.0), ("a", 6.5), ("b", 1.0))
    wide = {0: (4.0, 6.0), 1: (4.5, 9.0), 2: (0.0, 2.0)}
    found = _of_each_event(lambda *, count: samples[:count], lambda one: wide[one.sample_id], count=3, per_video=3)
    assert [one.sample_id for one in found] == [0, 2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--duration", "soon"], "--duration = 'soon': expected seconds, such as 2.5, or auto"),
        (["--duration", "-1"], "suggest.duration_s"),
        (["--region", "0,0,1"], "region = '0,0,1': expected four numbers x,y,width,height"),
        (["--region", "0.5,0,0.6,1"], "inside it"),
    ],
)
def test_options_that_cannot_be(
    options: list[str], said: str, made: SmallWarehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["suggest", str(made.queries["red"]), "-w", made.uri, *options])
    assert exit_.value.code == 2
    printed = capsys.readouterr().err.strip()
    assert said in printed and len(printed.splitlines()) == 1


def test_a_port_that_is_taken(made: SmallWarehouse, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as exit_:
        main(["serve", "-w", made.uri, "--port", str(taken.getsockname()[1])])
    assert exit_.value.code == 2
    assert "cannot be listened at; give another --port" in capsys.readouterr().err


def test_what_is_not_there_or_out_of_date(made: SmallWarehouse, tmp_path: Path) -> None:
    with open_warehouse(made.uri) as collection:
        for name in ("none.png", "none.wav"):
            with pytest.raises(InputError, match=rf"{name}: there is no such file"):
                collection.suggest(tmp_path / name)
        place = tables.COLLECTION.path(made.uri, "default")
        made.write_collection(deltalake.DeltaTable(place).to_pyarrow_table())
        try:
            with pytest.raises(WarehouseError, match="the index is older than the collection"):
                collection.suggest(made.queries["red"])
        finally:
            Path(place, "_delta_log", f"{1:020}.json").unlink()


def test_values_out_of_range(made: SmallWarehouse) -> None:
    with open_warehouse(made.uri) as collection, pytest.raises(InputError, match="top = 0"):
        collection.suggest(made.queries["red"], top=0)
