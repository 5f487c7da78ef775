"""Broken video files by the thousand, made by a seed from good ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from media_files import write_flash_and_click

GOOD = [
    ("mp4", "libx264", "aac"),
    ("mov", "mpeg4", "pcm_s16le"),
    ("mkv", "libx264", "flac"),
    ("webm", "libvpx", "libopus"),
    ("avi", "mpeg4", "libmp3lame"),
    ("ts", "libx264", "aac"),
    ("flv", "libx264", "aac"),
]

_BOXES = re.compile(
    rb"ftyp|moov|trak|mdia|minf|stbl|stsd|stts|stsz|stco|stsc|ctts|mdhd|mvhd|tkhd|elst|edts|mdat|free|udta"  # MP4, MOV
    rb"|RIFF|LIST|hdrl|strl|strh|strf|movi|idx1|JUNK|0[01][dw][cb]"  # AVI
    rb"|\x1a\x45\xdf\xa3|\x18\x53\x80\x67|\x1f\x43\xb6\x75|\x1c\x53\xbb\x6b|\x16\x54\xae\x6b|\xa3|\x15\x49\xa9\x66"
    rb"|FLV|onMetaData|\x47"
)
_LIES = (0, 1, 7, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)

Change = Callable[[bytes, np.random.Generator, list[bytes]], bytes]


def _cut(content: bytes, random: np.random.Generator, _: list[bytes]) -> bytes:
    """Cut off at the beginning of a box."""
    return content[: max(_place(content, random) - int(random.integers(0, 9)), 1)]


def _flip_bits(content: bytes, random: np.random.Generator, _: list[bytes]) -> bytes:
    changed = np.frombuffer(content, np.uint8).copy()
    count = int(10 ** random.uniform(0, 3))
    reach = changed.size if random.random() < 0.5 else min(changed.size, 4096)  # half of them in the header
    np.bitwise_xor.at(changed, random.integers(0, reach, count), (1 << random.integers(0, 8, count)).astype(np.uint8))
    return changed.tobytes()


def _zero(content: bytes, random: np.random.Generator, _: list[bytes]) -> bytes:
    begin = int(random.integers(0, len(content)))
    length = min(int(10 ** random.uniform(1, 5)), len(content) - begin)
    return content[:begin] + bytes(length) + content[begin + length :]


def _swap_headers(content: bytes, random: np.random.Generator, others: list[bytes]) -> bytes:
    other = others[int(random.integers(len(others)))]
    length = int(10 ** random.uniform(0.5, 3.6))
    return other[:length] + content[length:]


def _lie(content: bytes, random: np.random.Generator, _: list[bytes]) -> bytes:
    """Sizes, durations and counts that are not true, beside the names of boxes."""
    changed = bytearray(content)
    for _number in range(int(random.integers(1, 6))):
        at = _place(content, random) + int(random.choice([-4, 4, 8, 12, 16, 20, 24]))
        if 0 <= at <= len(changed) - 4:
            lie = int(random.choice(_LIES)) if random.random() < 0.8 else int(random.integers(2**32))
            changed[at : at + 4] = lie.to_bytes(4, "big" if random.random() < 0.7 else "little")
    return bytes(changed)


def _repeat(content: bytes, random: np.random.Generator, _: list[bytes]) -> bytes:
    """The same part again and again, and so the same times."""
    begin, end = sorted((_place(content, random), _place(content, random)))
    part = content[begin:end] or content
    return content[:end] + part * min(50, 2_000_000 // len(part)) + content[end:]


def _loop(content: bytes, random: np.random.Generator, _: list[bytes]) -> bytes:
    """A box of size 0 or of its own size for ever, or offsets that lead back to the beginning."""
    changed = bytearray(content)
    names = list(re.finditer(rb"moov|trak|mdat|stco|elst|idx1|LIST|\x1f\x43\xb6\x75", content))
    for found in names[: int(random.integers(1, len(names) + 1))] if names else []:
        at = found.start() - 4 if random.random() < 0.5 else found.end()
        if 0 <= at <= len(changed) - 4:
            changed[at : at + 4] = int(random.choice([0, 1, 8, 16])).to_bytes(4, "big")
    return bytes(changed)


def _text(_content: bytes, random: np.random.Generator, _: list[bytes]) -> bytes:
    kinds = ["<!DOCTYPE html><html>no video</html>", "#EXTM3U\nfile:///etc/hosts\n", "ffconcat version 1.0\nfile x\n"]
    text = str(random.choice([*kinds, "", " ", "\x00" * 500, "Not found"]))
    return (text * int(random.integers(1, 50))).encode()


def _noise(content: bytes, random: np.random.Generator, _: list[bytes]) -> bytes:
    begin = int(random.integers(0, len(content)))
    return content[:begin] + random.bytes(len(content) - begin)


CHANGES: dict[str, Change] = {
    "cut": _cut,
    "bits": _flip_bits,
    "zeros": _zero,
    "headers": _swap_headers,
    "lies": _lie,
    "repeats": _repeat,
    "loops": _loop,
    "text": _text,
    "noise": _noise,
}


def write_good(folder: Path) -> list[Path]:
    """One good video in each container."""
    paths = []
    for extension, video_codec, audio_codec in GOOD:
        path = folder / f"good.{extension}"
        times_s = np.arange(0, 2, 0.2).tolist()
        write_flash_and_click(path, video_codec=video_codec, audio_codec=audio_codec, times_s=times_s, duration_s=2.0)
        paths.append(path)
    return paths


def write_malformed(good: list[Path], folder: Path, *, count: int, seed: int) -> list[Path]:
    """`count` files, every kind of damage on every container in turn."""
    contents = [path.read_bytes() for path in good]
    kinds = list(CHANGES)
    paths = []
    for number in range(count):
        which, kind = number % len(good), kinds[number // len(good) % len(kinds)]
        random = np.random.default_rng([seed, number])
        path = folder / f"{number:05}-{kind}{good[which].suffix}"
        path.write_bytes(CHANGES[kind](contents[which], random, contents))
        paths.append(path)
    return paths


def _place(content: bytes, random: np.random.Generator) -> int:
    """Where some box begins."""
    places = [found.start() for found in _BOXES.finditer(content)] or [0]
    return places[int(random.integers(len(places)))]
