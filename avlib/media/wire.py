"""Messages between a decoding process and its parent: JSON and plain arrays over a socket, no pickle.

A message is the length of its head (4 bytes, little-endian), the head as JSON, and the bytes of its arrays in order.
Either side trusts the other with sizes within limits only.
"""

from __future__ import annotations

import json
import math
import mmap
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

_LENGTH = struct.Struct("<I")
_MAX_HEAD_BYTES = 1 << 20
_OWN_MEMORY_BYTES = 1 << 20
_MAX_ARRAY_BYTES = 1 << 30
_DTYPES = ("uint8", "int64", "float32", "float64")


class WireError(Exception):
    """The other side sent what is no message, or ended in the middle of one."""


@dataclass(frozen=True)
class Message:
    """kind: what it is about.  values: plain JSON values.  arrays: of the dtypes uint8, int64, float32, float64."""

    kind: str
    values: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


def send(to: socket.socket, message: Message) -> None:
    """Send one message. Raises OSError where the other side is gone."""
    arrays = {name: np.ascontiguousarray(array) for name, array in message.arrays.items()}
    described = [(name, str(array.dtype), list(array.shape)) for name, array in arrays.items()]
    head = json.dumps([message.kind, message.values, described]).encode()
    to.sendall(_LENGTH.pack(len(head)) + head)
    for array in arrays.values():
        if array.size:
            to.sendall(array.reshape(-1).view(np.uint8).data)


def receive(source: socket.socket, *, within_s: float | None = None) -> Message | None:
    """The next message, whole within this time; None where the other side has ended.

    Raises WireError, TimeoutError, OSError.
    """
    until_s = None if within_s is None else time.monotonic() + within_s
    length = _read(source, _LENGTH.size, until_s, may_end=True)
    if not length:
        return None
    size = _LENGTH.unpack(length)[0]
    if size > _MAX_HEAD_BYTES:
        raise WireError(f"a head of {size} bytes")
    try:
        kind, values, described = json.loads(bytes(_read(source, size, until_s)))
        sizes = [_bytes_of(dtype, shape) for _, dtype, shape in described]
        if sum(sizes) > _MAX_ARRAY_BYTES:
            raise WireError(f"arrays of {sum(sizes)} bytes")
        arrays = {
            str(name): np.frombuffer(_read(source, size, until_s), dtype).reshape(shape)
            for size, (name, dtype, shape) in zip(sizes, described, strict=True)
        }
        return Message(str(kind), dict(values), arrays)
    except (ValueError, TypeError) as error:
        raise WireError(str(error)) from None


def _bytes_of(dtype: str, shape: list[int]) -> int:
    if dtype not in _DTYPES or any(not isinstance(n, int) or n < 0 for n in shape):
        raise WireError(f"an array of {dtype} {shape}")
    return math.prod(shape) * np.dtype(dtype).itemsize


def _read(source: socket.socket, size: int, until_s: float | None, *, may_end: bool = False) -> memoryview:
    # Pictures and sound stay while the buffers of a network come and go: on the heap they would keep these from finding
    # the same place again, and it would grow. So they get memory of their own, which the system takes back.
    memory = mmap.mmap(-1, size) if size >= _OWN_MEMORY_BYTES else bytearray(size)
    view, read = memoryview(memory), 0
    while read < size:
        if until_s is not None:
            source.settimeout(max(until_s - time.monotonic(), 0.001))
        received = source.recv_into(view[read:])
        if not received:
            if may_end and not read:
                return memoryview(b"")
            raise WireError("it ended in the middle of a message")
        read += received
    return view
