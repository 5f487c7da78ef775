"""Messages come out as they went in, and what is no message is refused before it is believed."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avlib.media.wire import Message, WireError, receive, send


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with ours, theirs:
        yield ours, theirs


@settings(max_examples=50, deadline=None)
@given(
    st.text(max_size=20),
    st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text() | st.floats(width=32)),
    st.lists(
        st.tuples(st.sampled_from(["uint8", "int64", "float32", "float64"]), st.lists(st.integers(0, 40), max_size=3)),
        max_size=3,
    ),
)
def test_round_trip(kind: str, values: dict[str, object], shapes: list[tuple[str, list[int]]]) -> None:
    random = np.random.default_rng(0)
    arrays = {
        str(number): (100 * random.random(shape)).astype(dtype)[..., ::-1]  # not contiguous
        if shape
        else np.array(7, dtype)
        for number, (dtype, shape) in enumerate(shapes)
    }
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender = Thread(target=send, args=(theirs, Message(kind, values, arrays)))
        sender.start()
        got = receive(ours)
        sender.join()
    assert got is not None and got.kind == kind
    np.testing.assert_equal(got.values, values)
    assert list(got.arrays) == list(arrays)
    for name, array in arrays.items():
        assert got.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(got.arrays[name], array)


def test_the_end_between_messages_is_no_error(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    send(theirs, Message("ready"))
    theirs.close()
    assert receive(ours) == Message("ready")
    assert receive(ours) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (struct.pack("<I", 1 << 30), "a head of"),
        (struct.pack("<I", 10) + b"abc", "ended in the middle"),
        (struct.pack("<I", 3) + b"abc", "Expecting value"),
        (struct.pack("<I", 2) + b"{}", "unpack"),
        (b"head" + json.dumps(["k", {}, [["a", "object", [1]]]]).encode(), "an array of object"),
        (b"head" + json.dumps(["k", {}, [["a", "uint8", [1 << 29]], ["b", "uint8", [1 << 30]]]]).encode(), "arrays of"),
        (b"head" + json.dumps(["k", {}, [["a", "uint8", [-1]]]]).encode(), "an array of"),
        (b"head" + json.dumps(["k", {}, [["a", "uint8", [4]]]]).encode() + b"abc", "ended in the middle"),
    ],
)
def test_what_is_no_message_is_refused(pair: tuple[socket.socket, socket.socket], content: bytes, words: str) -> None:
    ours, theirs = pair
    if content.startswith(b"head"):
        body = content.removeprefix(b"head")
        length = body.index(b"]]]]") + 4 if b"]]]]" in body else len(body)
        content = struct.pack("<I", length) + body
    theirs.sendall(content)
    theirs.close()
    with pytest.raises(WireError, match=words):
        receive(ours)
