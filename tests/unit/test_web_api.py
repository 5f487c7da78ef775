"""The page's API: the same answers as the command's, and a plain sentence for whatever is not right."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from page_server import Page, answer_to, assert_plain, served
from PIL import Image
from small_warehouse import RATE_HZ, SmallWarehouse, looks, sounds

from avlib.config import load_settings
from avlib.media import open_picture
from avlib.retrieval.suggest import Suggester, Wish
from avlib.warehouse import Warehouse

SETTINGS = load_settings(assignments=["serve.upload_bytes=3000000", "serve.max_pixels=4000000", "decode.still_s=2"])


@pytest.fixture(scope="module")
def page(made: SmallWarehouse) -> Iterator[Page]:
    with served(made.uri, SETTINGS) as opened:
        yield opened


def picture(values: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind, **options)
    return file.getvalue()


def videos_of(values: dict[str, list[dict[str, str]]]) -> set[str]:
    return {one["video"] for one in values["suggestions"]}


@pytest.mark.parametrize("name", ["red", "blue", "green"])
def test_sounds_for_a_picture(name: str, page: Page, made: SmallWarehouse) -> None:
    reply = page.post("/api/sounds", {"picture": made.queries[name].read_bytes()}, top=3, duration=1.5)
    assert reply.status == 200
    assert videos_of(reply.values) == {f"{name}.mp4"}
    wanted = Suggester(Warehouse(made.uri), SETTINGS.suggest).suggest(open_picture(made.queries[name]), Wish(3, 1.5))
    assert [one["sample_id"] for one in reply.values["suggestions"]] == [str(one.sample_id) for one in wanted.neighbors]
    assert reply.values["confidence"] == pytest.approx(wanted.confidence, abs=1e-3)
    for one in reply.values["suggestions"]:
        wav = page.get(one["sound"])
        waveform, rate_hz = soundfile.read(io.BytesIO(wav.body))
        assert len(waveform) / rate_hz == pytest.approx(1.5, abs=1e-3) == one["duration_s"]
        assert wav.headers["Content-Type"] == "audio/wav"
        assert len(one["outline"]) == 160
        shown = np.asarray(Image.open(io.BytesIO(page.get(one["frame"]).body)))
        assert shown.mean(axis=(0, 1)).argmax() == ("red", "green", "blue").index(name)


def test_a_sound_as_long_as_its_event_is_suggested_once(page: Page, made: SmallWarehouse) -> None:
    reply = page.post("/api/sounds", {"picture": made.queries["blue"].read_bytes()}, top=5, duration="auto")
    found = reply.values["suggestions"]
    assert [one["rank"] for one in found] == [1, 2, 3]
    assert found[0]["video"] == "blue.mp4" and len(videos_of(reply.values)) == 3


def test_pictures_for_a_sound(page: Page) -> None:
    for name, waveform in sounds().items():
        file = io.BytesIO()
        soundfile.write(file, waveform[RATE_HZ : 3 * RATE_HZ], RATE_HZ, format="WAV")
        reply = page.post("/api/pictures", {"sound": file.getvalue()}, top=2)
        assert reply.status == 200, reply.body
        assert videos_of(reply.values) == {f"{name}.mp4"}


def test_a_region_asks_about_a_part(page: Page) -> None:
    both = np.concatenate([looks()["red"], looks()["blue"]], axis=1)
    for region, name in (("0,0,0.5,1", "red"), ("0.5,0,0.5,1", "blue")):
        reply = page.post("/api/sounds", {"picture": picture(both)}, top=1, region=region)
        assert videos_of(reply.values) == {f"{name}.mp4"}


def test_a_sound_can_be_had_in_parts(page: Page, made: SmallWarehouse) -> None:
    reply = page.post("/api/sounds", {"picture": made.queries["red"].read_bytes()}, top=1)
    path = reply.values["suggestions"][0]["sound"]
    whole = page.get(path)
    part = page.get(path, {"Range": "bytes=100-299"})
    assert (part.status, part.body) == (206, whole.body[100:300])
    assert part.headers["Content-Range"] == f"bytes 100-299/{len(whole.body)}"
    last = page.get(path, {"Range": f"bytes={len(whole.body) - 1}-"})
    assert (last.status, last.body) == (206, whole.body[-1:])
    for beyond in ("9-1", "99999999-", f"{len(whole.body)}-"):
        reply = page.get(path, {"Range": f"bytes={beyond}"})
        assert (reply.status, reply.headers["Content-Range"]) == (416, f"bytes */{len(whole.body)}")


def test_a_film_of_picture_and_sound(page: Page, made: SmallWarehouse) -> None:
    query = made.queries["blue"].read_bytes()
    one = page.post("/api/sounds", {"picture": query}, top=1).values["suggestions"][0]
    reply = page.post(
        "/api/films", {"picture": query}, sample_id=one["sample_id"], start=one["start_s"], duration=one["duration_s"]
    )
    with av.open(io.BytesIO(reply.body)) as film:
        assert film.duration / 1e6 == pytest.approx(2.0, abs=0.1)
        assert {stream.type for stream in film.streams} == {"video", "audio"}


def exif_turned() -> bytes:
    """Red stripes lying on their side, and the word that the camera was turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return picture(np.rot90(looks()["red"]), "JPEG", exif=exif, quality=95)


def moving() -> bytes:
    file = io.BytesIO()
    first, *others = (Image.fromarray(look) for look in looks().values())
    first.save(file, "GIF", save_all=True, append_images=others, duration=100)
    return file.getvalue()


def cmyk() -> bytes:
    file = io.BytesIO()
    Image.fromarray(looks()["red"]).convert("CMYK").save(file, "JPEG", quality=95)
    return file.getvalue()


@pytest.mark.parametrize("made_up", [exif_turned, moving, cmyk])
def test_unusual_pictures_are_understood(made_up: Callable[[], bytes], page: Page) -> None:
    reply = page.post("/api/sounds", {"picture": made_up()}, top=1)
    assert reply.status == 200
    assert videos_of(reply.values) == {"red.mp4"}


def test_one_pixel_is_a_picture_like_no_other(page: Page) -> None:
    reply = page.post("/api/sounds", {"picture": picture(np.zeros((1, 1, 3), np.uint8))}, top=1)
    assert reply.status == 200


def bomb(side_px: int) -> bytes:
    """A PNG of some kilobytes that says it has side² pixels, all black."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")

    header = side_px.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    rows = zlib.compress(bytes((side_px // 8 + 1) * 1000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def many_scans(side_px: int, scans: int) -> bytes:
    """A JPEG whose last scan comes again and again, and takes a decoder as long each time."""
    file = io.BytesIO()
    Image.new("L", (side_px, side_px)).save(file, "JPEG", progressive=True)
    begin = file.getvalue().rindex(b"\xff\xda")
    return file.getvalue()[:begin] + file.getvalue()[begin:-2] * scans + b"\xff\xd9"


def one_large_tile(side_px: int) -> bytes:
    """A TIFF of 100 x 100 pixels, all of them in one tile of side² bytes, deflated."""
    packer = zlib.compressobj(9)
    content = b"".join(packer.compress(bytes(side_px)) for _ in range(side_px)) + packer.flush()
    tags = {256: 100, 257: 100, 258: 8, 259: 8, 262: 1, 277: 1, 322: side_px, 323: side_px, 324: 0, 325: len(content)}
    tags[324] = 8 + 2 + 12 * len(tags) + 4  # where the tile begins
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + content


NOT_A_PICTURE = "this is not a picture avlib can read; give one of JPEG, PNG"
BAD_PICTURES = {
    "text": (b"no picture", 400, NOT_A_PICTURE),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', 400, NOT_A_PICTURE),
    "pdf": (b"%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj", 400, NOT_A_PICTURE),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", 400, NOT_A_PICTURE),
    "truncated": (picture(looks()["red"], "JPEG")[:2000], 400, NOT_A_PICTURE),
    "100 megapixels": (picture(np.zeros((10_000, 10_000), np.uint8)), 400, "too large a picture (10000 x 10000)"),
    "bomb": (bomb(60_000), 400, "this is"),
    "many scans": (many_scans(2000, 20_000), 400, "cannot be decoded within 2 s (decode.still_s)"),
    "a large tile": (one_large_tile(45_000), 400, "this is"),
    "empty": (b"", 400, "no picture was sent"),
    "large": (bytes(3_100_000), 413, "send at most 2 MB"),
}


@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_gets_a_sentence(name: str, page: Page) -> None:
    content, status, said = BAD_PICTURES[name]
    for path in ("/api/sounds", "/api/films"):
        reply = page.post(path, {"picture": content}, **({"sample_id": 25} if path.endswith("films") else {}))
        assert reply.status == status, reply.body
        assert said in reply.values["error"]
        assert_plain(reply.values["error"])


@pytest.mark.parametrize(
    ("doubt", "note"),
    [(0.02, "nothing in the collection looks like this"), (0.01, None)],  # 60 samples tell no less than 1 / 61
)
def test_nothing_like_it_is_an_answer(doubt: float, note: str | None, made: SmallWarehouse) -> None:
    with served(made.uri, load_settings(assignments=[f"suggest.doubt={doubt}"])) as page:
        values = page.post("/api/sounds", {"picture": picture(np.full((192, 256, 3), 255, np.uint8))}, top=2).values
        assert values["note"] == note
        assert len(values["suggestions"]) == 2  # the nearest there is, all the same
        like = page.post("/api/sounds", {"picture": made.queries["red"].read_bytes()}, top=1).values
        assert (like["note"], like["confidence"]) == (None, 1)


def test_no_sound_like_it_is_an_answer(made: SmallWarehouse) -> None:
    suggester = Suggester(Warehouse(made.uri), load_settings(assignments=["suggest.doubt=0.5"]).suggest)
    red = suggester.suggest(open_picture(made.queries["red"]), Wish(1, 1.0)).neighbors[0]
    assert suggester.nearest(red.audio, "audio", Wish(1, 1.0)).note is None
    other = np.random.default_rng(0).normal(size=red.audio.shape)
    unlike = (other / np.linalg.norm(other)).astype(np.float32)
    assert suggester.nearest(unlike, "audio", Wish(1, 1.0)).note == "nothing in the collection sounds like this"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"top": 0}, "top = '0': expected a number from 1 to 20"),
        ({"top": 21}, "1 to 20"),
        ({"top": "2.5"}, "a whole number"),
        ({"top": "nan"}, "1 to 20"),
        ({"duration": "1e9"}, "duration = '1e9': expected a number from 0.05 to 10, or auto"),
        ({"duration": -1}, "0.05 to 10"),
        ({"region": "0,0,2,1"}, "shares of the picture"),
        ({"region": "a,b"}, "four numbers"),
        ({"region": "nan,0,1,1"}, "shares of the picture"),
        ({"uri": "/etc/passwd"}, "a field that the API does not know"),
        ({"top": "9" * 300}, "too large"),
    ],
)
def test_a_bad_field_gets_a_sentence(fields: dict[str, object], said: str, page: Page, made: SmallWarehouse) -> None:
    reply = page.post("/api/sounds", {"picture": made.queries["red"].read_bytes()}, **fields)
    assert reply.status in (400, 413)
    assert said in reply.values["error"]
    assert_plain(reply.values["error"])


@pytest.mark.parametrize(
    "path",
    [
        "/api/sounds/1.wav", "/api/frames/1.jpg", "/api/sounds/x.wav", "/api/sounds/-1.wav",
        f"/api/sounds/{'9' * 40}.wav", "/api/sounds/25.wav?duration=999", "/api/sounds/25.wav?start=-4",
        "/api/sounds/..%2f..%2fetc%2fpasswd.wav", "/../../etc/passwd", "/page.html/../server.py", "/server.py", "/api",
    ],
)  # fmt: skip
def test_what_is_not_there_gets_a_sentence(path: str, page: Page) -> None:
    reply = page.get(path)
    assert 400 <= reply.status < 500
    assert_plain(reply.values["error"])


def test_a_form_that_is_none(page: Page) -> None:
    for kind, body in (
        ("text/plain", b"x"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=a", b"--b"),
    ):
        reply = answer_to(urllib.request.Request(f"{page.address}/api/sounds", body, {"Content-Type": kind}))
        assert reply.status == 400, (kind, reply.body)
        assert_plain(reply.values["error"])


def test_a_sound_that_is_none(page: Page, made: SmallWarehouse) -> None:
    silent = io.BytesIO()
    soundfile.write(silent, np.zeros(8000), 8000, format="WAV")
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"
    for content in (b"no sound", silent.getvalue(), playlist, made.queries["red"].read_bytes(), b""):
        reply = page.post("/api/pictures", {"sound": content})
        assert reply.status == 400, reply.body
        assert_plain(reply.values["error"])


def test_many_at_a_time(page: Page, made: SmallWarehouse) -> None:
    """The benchmark tests/benchmarks/test_serve.py does so for minutes."""
    queries = [(name, {"picture": file.read_bytes()}) for name, file in made.queries.items()] * 8

    def ask(query: tuple[str, dict[str, bytes]]) -> bool:
        reply = page.post("/api/sounds", query[1], top=2, duration=0.6)
        heard = [page.get(one["sound"]).status for one in reply.values["suggestions"]]
        return videos_of(reply.values) == {f"{query[0]}.mp4"} and heard == [200, 200]

    with ThreadPoolExecutor(24) as clients:
        assert all(clients.map(ask, queries))


def test_other_sites_are_refused(page: Page, made: SmallWarehouse) -> None:
    assert page.get("/api/collection", {"Host": "attacker.example"}).status == 403
    files = {"picture": made.queries["red"].read_bytes()}
    assert page.post("/api/sounds", files, {"Origin": "https://attacker.example"}).status == 403
    assert page.post("/api/sounds", files, {"Origin": page.address}, top=1).status == 200


def test_a_missing_video_leaves_the_suggestion(page: Page, made: SmallWarehouse) -> None:
    video = made.videos["green"]
    video.rename(video.with_suffix(".away"))
    try:
        reply = page.post("/api/sounds", {"picture": made.queries["green"].read_bytes()}, top=2, duration=0.7)
        assert reply.status == 200
        for one in reply.values["suggestions"]:
            assert one["unavailable"] == "the source video cannot be read any more (not_found)"
            assert "sound" not in one and one["video"] == "green.mp4"
            assert page.get(f"/api/sounds/{one['sample_id']}.wav?duration=0.7").status == 404
            assert_plain(str(one))
    finally:
        video.with_suffix(".away").rename(video)


def test_nothing_that_is_sent_stays(page: Page, made: SmallWarehouse, tmp_path: Path) -> None:
    before = set(Path("/tmp").glob("avlib-*")) | set(Path("/tmp").glob("upload*"))
    handles = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        page.post("/api/sounds", {"picture": made.queries["red"].read_bytes()}, top=1)
        page.post("/api/pictures", {"sound": b"no sound"})
    assert (set(Path("/tmp").glob("avlib-*")) | set(Path("/tmp").glob("upload*"))) <= before
    assert len(list(Path("/proc/self/fd").iterdir())) <= handles + 2
    assert subprocess.run(["ls", made.uri], capture_output=True, text=True).stdout.split() == ["filters", "index"]


def test_headers_keep_the_page_to_itself(page: Page) -> None:
    for path in ("/", "/page.js", "/page.css", "/api/collection", "/nowhere"):
        reply = page.get(path)
        assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert not re.search(rb"https?://", reply.body.replace(b"http://www.w3.org", b"")), path
