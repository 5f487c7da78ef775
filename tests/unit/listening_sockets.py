"""Where processes take connections, as /proc tells it. Linux only."""

from __future__ import annotations

import sys
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_LISTENING = "0A"


def listening(pid: int) -> list[IPv4Address | IPv6Address]:
    """Addresses at which a process takes connections."""
    inodes = set()
    for handle in Path("/proc", str(pid), "fd").iterdir():
        with suppress(OSError):
            inodes.add(str(handle.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc", str(pid), "net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and fields[9] in inodes:
                found.append(parse(fields[1].partition(":")[0]))
    return found


def parse(text: str) -> IPv4Address | IPv6Address:
    """As /proc writes addresses: words of four bytes, each in the machine's order."""
    words = [bytes.fromhex(text[at : at + 8]) for at in range(0, len(text), 8)]
    return ip_address(b"".join(word[::-1] if sys.byteorder == "little" else word for word in words))


def is_loopback(address: IPv4Address | IPv6Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def children(pid: int) -> list[int]:
    """All processes that a process has started, directly or not."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    own = [child for child, parent in parents.items() if parent == pid]
    return [*own, *(further for child in own for further in children(child))]
