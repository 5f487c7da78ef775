"""Messages between a decoding process and its parent: JSON and plain arrays over a socket, no pickle.

A message is the length of its head (4 bytes, little-endian), the head as JSON, and the bytes of its arrays in order.
Either side trusts the other with sizes within limits only.
"""

from __future__ import annotations

import json
import math
import socket
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

_LENGTH = struct.Struct("<I")
_MAX_HEAD_BYTES = 1 << 20
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


def receive(source: socket.socket) -> Message | None:
    """The next message; None where the other side has ended. Raises WireError, TimeoutError, OSError."""
    length = _read(source, _LENGTH.size, may_end=True)
    if not length:
        return None
    size = _LENGTH.unpack(length)[0]
    if size > _MAX_HEAD_BYTES:
        raise WireError(f"a head of {size} bytes")
    try:
        kind, values, described = json.loads(_read(source, size))
        arrays = {str(name): _read_array(source, dtype, shape) for name, dtype, shape in described}
        return Message(str(kind), dict(values), arrays)
    except (ValueError, TypeError) as error:
        raise WireError(str(error)) from None


def _read_array(source: socket.socket, dtype: str, shape: list[int]) -> npt.NDArray[Any]:
    if dtype not in _DTYPES or any(not isinstance(n, int) or n < 0 for n in shape):
        raise WireError(f"an array of {dtype} {shape}")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > _MAX_ARRAY_BYTES:
        raise WireError(f"an array of {size} bytes")
    return np.frombuffer(_read(source, size), dtype).reshape(shape)


def _read(source: socket.socket, size: int, *, may_end: bool = False) -> bytearray:
    buffer = bytearray(size)
    view, read = memoryview(buffer), 0
    while read < size:
        received = source.recv_into(view[read:])
        if not received:
            if may_end and not read:
                return bytearray()
            raise WireError("it ended in the middle of a message")
        read += received
    return buffer
