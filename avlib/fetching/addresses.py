"""Which network addresses a video may come from: public ones only, unless the operator says otherwise.

A manifest is other people's text. Without this check `http://169.254.169.254/…` would make a worker read its own
cloud's credentials, and `http://10.0.0.1/…` somebody's printer. The check sits where the socket is made, on the very
address that is connected to, so neither a name that resolves to two addresses in turn, nor a redirect, nor another
spelling of a number gets round it.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Any

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NOT_PUBLIC = [
    ipaddress.ip_network(name)
    for name in (
        "192.0.0.0/24",  # protocols' own; Oracle's cloud answers there
        "168.63.129.16/32",  # Azure's host
        "fec0::/10",  # site-local, of old
        "3fff::/20",  # documentation
    )
]


def public_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """A socket for an entry of getaddrinfo. Raises PermissionError (EACCES) where its address is not public."""
    family, kind, protocol, _, address = address_info
    host = str(address[0])
    if not is_public(host):
        raise PermissionError(errno.EACCES, "the address is private, loopback or link-local", host)
    return socket.socket(family, kind, protocol)


def is_public(host: str) -> bool:
    """Whether an IP address (v4 or v6, as the resolver writes it) belongs to the public internet."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if int(address) < 1 << 32:  # the old ::a.b.c.d
            return False
    if any(address.version == network.version and address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
