"""Pictures: which one is on display when, and the normaliser that videos and stills share."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from media_files import turn_pictures
from PIL import Image, ImageOps

from avlib.errors import InputError, ParameterError
from avlib.media import PictureReader, Region, load_picture, normalise_picture, open_picture, probe
from avlib.media.stills import MOST_SIDE_PX

SHADES = (40, 90, 140, 190, 240)


def write_pictures(path: Path, pictures: list[np.ndarray], starts_ms: list[int], *, last_ms: int = 40) -> None:
    """A video whose picture number i appears at starts_ms[i]."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"qscale": "2"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, start_ms in zip(pictures, starts_ms, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = start_ms, Fraction(1, 1000)
            for packet in stream.encode(frame):
                packet.duration = last_ms
                container.mux(packet)
        container.mux(stream.encode(None))


def write_shades(path: Path, starts_ms: list[int]) -> None:
    """A video whose picture number i has grey SHADES[i] and appears at starts_ms[i]."""
    write_pictures(path, [np.full((64, 64, 3), shade, np.uint8) for shade in SHADES[: len(starts_ms)]], starts_ms)


def shades(path: Path, times_s: list[float]) -> list[int | None]:
    shown: list[int | None] = [None] * len(times_s)
    for indexes, pictures in PictureReader(path, probe(path), times_s=np.array(times_s), size_px=8, batch=2):
        for index, picture in zip(indexes, pictures, strict=True):
            shown[index] = int(np.argmin(np.abs(np.array(SHADES) - picture.mean())))
    return shown


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_the_picture_on_display_is_the_last_that_began(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"uneven.{extension}"
    write_shades(path, [0, 100, 130, 1100, 1133])
    wanted = [0.0, 0.0, 0.099, 0.1, 0.12, 0.131, 1.0, 1.0997, 1.12, 1.14, 1.17, 1.3]
    assert shades(path, wanted) == [0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, None]


def test_only_what_is_wanted_and_nothing_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_shades(path, [0, 40, 80])
    assert shades(path, [0.05]) == [1]
    assert shades(path, []) == []
    assert shades(path, [99.0]) == [None]


def test_a_reader_can_be_iterated_again(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    write_shades(path, [0, 40, 80])
    reader = PictureReader(path, probe(path), times_s=np.array([0.0, 0.08]), size_px=8)
    first, second = ([pictures for _, pictures in reader] for _ in range(2))
    assert np.array_equal(first, second) and reader.covered_s == pytest.approx(0.12, abs=0.002)


def test_rotation_follows_the_display_matrix(shared_data: Path) -> None:
    path = shared_data / "bad" / "rotated_90.mp4"
    (_, pictures), *_ = PictureReader(path, probe(path), times_s=np.array([1.0]), size_px=64)
    with av.open(str(path)) as container:
        stored = next(f for f in container.decode(video=0) if f.time >= 1.0).to_ndarray(format="rgb24")
    upright = normalise_picture(np.ascontiguousarray(np.rot90(stored, k=-1)), size_px=64)
    assert np.abs(pictures[0].astype(int) - upright).mean() < 4


@pytest.mark.parametrize("clockwise_deg", [0, 90, 180, 270])
def test_pictures_are_upright_however_the_camera_was_held(clockwise_deg: int, tmp_path: Path) -> None:
    corners = np.array([[[220, 30, 30], [30, 220, 30]], [[30, 30, 220], [220, 220, 220]]], np.uint8)
    upright = corners.repeat(48, axis=0).repeat(64, axis=1)
    path = tmp_path / "turned.mp4"
    write_pictures(path, [np.rot90(upright, k=clockwise_deg // 90)], [0])
    turn_pictures(path, clockwise_deg=clockwise_deg)
    info = probe(path)
    assert (info.width, info.height, info.rotation_deg) == (128, 96, clockwise_deg)
    (_, pictures), *_ = PictureReader(path, info, times_s=np.array([0.0]), size_px=32)
    assert np.abs(pictures[0].astype(int) - normalise_picture(upright, size_px=32)).mean() < 4


def test_colours_follow_matrix_and_range(shared_data: Path) -> None:
    path = shared_data / "web_clips" / "bt709_full_range.mp4"
    (_, pictures), *_ = PictureReader(path, probe(path), times_s=np.array([0.0]), size_px=224)
    with av.open(str(path)) as container:
        planes = next(container.decode(video=0)).to_ndarray(format="yuv444p").astype(np.float64)
    y, cb, cr = planes[0], planes[1] - 128, planes[2] - 128  # full range, BT.709
    rgb = np.stack([y + 1.5748 * cr, y - 0.1873 * cb - 0.4681 * cr, y + 1.8556 * cb], axis=2)
    side = round(720 * 224 / 256)
    top, left = (720 - side) // 2, (1280 - side) // 2
    expected = np.clip(rgb, 0, 255)[top : top + side, left : left + side].mean(axis=(0, 1))
    assert np.allclose(pictures[0].mean(axis=(0, 1)), expected, atol=2.5)


def test_normaliser_agrees_with_pillow() -> None:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (9, 16, 3)).astype(np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((640, 360), Image.Resampling.BICUBIC))
    scaled = Image.fromarray(picture).resize((round(640 * 256 / 360), 256), Image.Resampling.BILINEAR)
    left, top = (scaled.width - 224) // 2, (256 - 224) // 2
    expected = np.asarray(scaled.crop((left, top, left + 224, top + 224)))
    assert np.abs(normalise_picture(picture, size_px=224).astype(int) - expected).mean() < 1.5


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 64),
    st.sampled_from([0, 90, 180, 270]),
    st.integers(0, 255),
)
def test_any_size_becomes_square_and_flat_stays_flat(w: int, h: int, size: int, turn: int, grey: int) -> None:
    picture = np.full((h, w, 3), grey, np.uint8)
    normal = normalise_picture(picture, size_px=size, rotation_deg=turn)
    assert normal.shape == (size, size, 3) and normal.dtype == np.uint8 and normal.flags.c_contiguous
    assert np.abs(normal.astype(int) - grey).max() <= 1


def test_turning_before_is_turning_after() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    for turn in (90, 180, 270):
        turned = normalise_picture(np.ascontiguousarray(np.rot90(picture, k=-turn // 90)), size_px=48)
        assert np.abs(normalise_picture(picture, size_px=48, rotation_deg=turn).astype(int) - turned).max() <= 2


def test_normaliser_refuses_other_arrays() -> None:
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ParameterError, match="picture"):
            normalise_picture(wrong, size_px=8)
    with pytest.raises(ParameterError, match="rotation_deg"):
        normalise_picture(np.zeros((4, 4, 3), np.uint8), size_px=8, rotation_deg=45)


@pytest.mark.parametrize(
    ("mode", "extension", "colour"),
    [
        ("RGB", "jpg", (200, 100, 50)),
        ("CMYK", "jpg", (55, 155, 205, 0)),
        ("RGB", "png", (200, 100, 50)),
        ("RGBA", "png", (200, 100, 50, 255)),
        ("P", "gif", None),
        ("RGB", "webp", (200, 100, 50)),
        ("RGB", "bmp", (200, 100, 50)),
        ("RGB", "tif", (200, 100, 50)),
    ],
)
def test_stills_of_all_sorts(tmp_path: Path, mode: str, extension: str, colour: tuple[int, ...] | None) -> None:
    path = tmp_path / f"still.{extension}"
    picture = (
        Image.new("RGB", (60, 40), (200, 100, 50)).quantize() if mode == "P" else Image.new(mode, (60, 40), colour)
    )
    picture.save(path)
    assert np.allclose(load_picture(path, size_px=16), (200, 100, 50), atol=4)


def test_transparent_is_white_and_deep_grey_is_scaled(tmp_path: Path) -> None:
    Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert load_picture(tmp_path / "clear.png", size_px=8).min() == 255
    Image.fromarray(np.full((30, 30), 32768, np.uint16)).save(tmp_path / "deep.png")
    assert np.allclose(load_picture(tmp_path / "deep.png", size_px=8), 128, atol=1)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255  # bright on the right; turned clockwise: bright below
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    loaded = load_picture(tmp_path / "turned.png", size_px=16)
    assert loaded[:6].max() < 30 and loaded[10:].min() > 225


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_are_pillows(orientation: int, tmp_path: Path) -> None:
    pixels = np.random.default_rng(orientation).integers(0, 256, (3, 5, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(open_picture(tmp_path / "turned.png", max_pixels=100), expected)


def exif_with(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF data, little-endian, of one directory.  entries: tag, type, count, value or offset (4 bytes)."""
    head = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries))
    return head + b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries) + bytes(4)


TURNED = (0x0112, 3, 1, struct.pack("<HH", 6, 0))  # by 90 degrees, clockwise
DAMAGED_EXIF = {
    "a word for a number": exif_with(TURNED, (0x0100, 2, 4, b"abc\0")),
    "text for a directory": exif_with(TURNED, (0x8769, 2, 4, b"abc\0")),
    "a fraction cut short": exif_with(TURNED, (0x011A, 5, 1, struct.pack("<I", 9999))),
    "a number too large": exif_with(TURNED, (0xA002, 9, 1, struct.pack("<i", -5))),
    "cut in the middle": exif_with(TURNED)[:19],
    "no directory": b"Exif\0\0II*\0\xff\xff\xff\xff",
    "another order": b"Exif\0\0XX*\0\x08\0\0\0",
}


def blurred(mode: str, orientation: int) -> tuple[Image.Image, Image.Exif]:
    """A picture without fine detail, and EXIF data that turn it."""
    noise = np.random.default_rng(0).integers(0, 255, (7, 9, 4), dtype=np.uint8)
    picture = Image.fromarray(noise, "RGBA").resize((960, 720), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = orientation
    if mode == "I;16":
        return Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257), exif
    return picture.convert(mode), exif


@pytest.mark.parametrize("held", [100_000, 20_000])  # a third of each side and more, a sixth
@pytest.mark.parametrize(
    ("mode", "extension"),
    [("RGB", "png"), ("RGB", "jpg"), ("CMYK", "jpg"), ("RGBA", "png"), ("LA", "png"), ("P", "png"), ("I;16", "png")],
)
def test_a_large_picture_is_read_smaller(
    mode: str, extension: str, held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"picture.{extension}"
    picture, exif = blurred(mode, orientation=6)
    picture.save(path, exif=exif)
    whole = open_picture(path, max_pixels=10**6)
    monkeypatch.setattr("avlib.media.stills._HELD_PIXELS", held)
    monkeypatch.setattr("avlib.media.stills._STRIP_ROWS", 17)
    smaller = open_picture(path, max_pixels=10**6)
    assert held / 4 < smaller.shape[0] * smaller.shape[1] <= held
    expected = Image.fromarray(whole).resize(smaller.shape[1::-1], Image.Resampling.BOX)
    off = np.abs(np.asarray(expected, np.int16) - smaller)
    if extension == "png":
        assert off.max() <= 1
    else:  # made smaller in part by JPEG's own transform
        assert off.mean() < 1.5 and np.quantile(off, 0.99) <= 12


@pytest.mark.parametrize("name", DAMAGED_EXIF)
def test_damaged_exif_costs_no_picture(name: str, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), (200, 100, 50)).save(tmp_path / "a.jpg", exif=DAMAGED_EXIF[name])
    loaded = open_picture(tmp_path / "a.jpg", max_pixels=10_000)
    assert sorted(loaded.shape) == [3, 40, 60]
    assert np.allclose(loaded, (200, 100, 50), atol=4)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.binary(max_size=60))
def test_any_exif_costs_no_picture(content: bytes) -> None:
    file = io.BytesIO()
    Image.new("RGB", (6, 4), (200, 100, 50)).save(file, "JPEG", exif=exif_with(TURNED, TURNED))
    plain = file.getvalue()
    place = plain.index(b"Exif\0\0") + 10
    file = io.BytesIO(plain[:place] + content + plain[place + len(content) :])
    with suppress(InputError):  # the bytes may reach further than the EXIF data
        assert sorted(open_picture(file, max_pixels=100).shape) == [3, 4, 6]


class _UndocumentedError(Exception):
    """Of no class that Pillow names."""


def test_whatever_a_decoder_raises_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")

    def fail(*_: object) -> None:
        raise _UndocumentedError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(InputError, match="is not a picture avlib can read"):
        open_picture(tmp_path / "a.png", max_pixels=10_000)


def test_pictures_too_large_are_said_so(tmp_path: Path) -> None:
    Image.new("1", (3_000_000, 1)).save(tmp_path / "long.png")
    with pytest.raises(InputError, match=r"too large a picture \(3000000 x 1\); .* no side longer than 65535"):
        load_picture(tmp_path / "long.png", size_px=8)
    (tmp_path / "bomb.pgm").write_bytes(b"P5 60000 60000 255\n")
    with pytest.raises(InputError, match=r"too large a picture; give one of at most 100000000 pixels"):
        load_picture(tmp_path / "bomb.pgm", size_px=8)


@pytest.mark.parametrize("shape", [(1, MOST_SIDE_PX), (MOST_SIDE_PX, 1), (200, MOST_SIDE_PX)])
def test_the_longest_side_can_be_scaled(shape: tuple[int, int], tmp_path: Path) -> None:
    Image.new("L", shape[::-1], 90).save(tmp_path / "long.png")
    assert np.allclose(load_picture(tmp_path / "long.png", size_px=8), 90, atol=3)


@given(*(st.floats(0, 1) for _ in range(4)))
def test_a_region_as_the_page_rounds_it_is_one(x: float, y: float, right: float, bottom: float) -> None:
    x, right = sorted((x, right))
    y, bottom = sorted((y, bottom))
    assume(right - x > 0.03 and bottom - y > 0.03)
    region = Region.parse(",".join(f"{share:.5f}" for share in (x, y, right - x, bottom - y)))
    part = region.of(np.zeros((1000, 1000, 3), np.uint8))
    assert part.shape[:2] == pytest.approx((1000 * (bottom - y), 1000 * (right - x)), abs=1.1)


def test_a_region_beyond_rounding_is_none() -> None:
    assert Region(0.66667, 0.0, 0.33334, 1.0).of(np.zeros((3, 3, 3), np.uint8)).shape == (3, 1, 3)
    with pytest.raises(ParameterError, match="inside it"):
        Region(0.5, 0.0, 0.501, 1.0)


def test_what_is_no_picture_is_refused(tmp_path: Path, shared_data: Path) -> None:
    text = tmp_path / "x.jpg"
    text.write_text("not a picture")
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99, 3)).astype(np.uint8)).save(whole)
    half = tmp_path / "half.png"
    half.write_bytes(whole.read_bytes()[:9000])
    for path in (text, half, tmp_path, shared_data / "bad" / "all_black.mp4"):
        with pytest.raises(InputError, match="is not a picture avlib can read; give one of JPEG, PNG"):
            load_picture(path, size_px=8)
    with pytest.raises(InputError, match="no such file"):
        load_picture(tmp_path / "none.png", size_px=8)
    with pytest.raises(InputError, match="at most 100 pixels"):
        load_picture(whole, size_px=8, max_pixels=100)
