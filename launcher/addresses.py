"""Addresses and ports of this machine: which are its own, which are free.

The relay connects to the app from the machine's own private address, so that what the app keeps for local callers
(`allow 127.0.0.1`, debug consoles) stays closed to the world.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

FAMILIES = (socket.AF_INET, socket.AF_INET6)

_SIOCGIFADDR = 0x8915  # linux/sockios.h: an interface's IPv4 address
_IF_INET6 = Path("/proc/net/if_inet6")

# RFC 1918, RFC 6598 (shared, as carriers and some container networks use it) and RFC 4193 (unique local).
_PRIVATE_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def private_address(family: socket.AddressFamily) -> str | None:
    """An address of this machine's own that is neither public nor loopback; None if it has none."""
    addresses = _ipv6_addresses() if family == socket.AF_INET6 else _ipv4_addresses()
    for text in addresses:
        if is_private(text) and _can_bind(family, text):
            return text
    return None


def is_private(text: str) -> bool:
    """Whether an address is neither public nor loopback nor link-local."""
    address = ipaddress.ip_address(text)
    return any(address in network for network in _PRIVATE_NETWORKS)


def is_own(text: str) -> bool:
    """Whether what connects to this address reaches this machine."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if address.is_loopback or address.is_unspecified:
        return True
    return _can_bind(socket.AF_INET6 if address.version == 6 else socket.AF_INET, text)


def is_free(host: str, port: int) -> bool:
    """Whether a listener on `host` could have `port` now."""
    return why_not_free(host, port) is None


def why_not_free(host: str, port: int) -> str | None:
    """Why a listener on `host` can't have `port` now, in the system's words; None if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.strerror or str(error)
    return None


def free_port(preferred: int) -> int:
    """`preferred` if every address of this machine has it free, else any port that is."""
    host = any_host()
    if preferred <= 65535 and is_free(host, preferred):
        return preferred
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def any_host() -> str:
    """`::`, which takes both families, where the machine has IPv6; else `0.0.0.0`."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind(("::", 0))
    except OSError:
        return "0.0.0.0"
    return "::"


def _ipv4_addresses() -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue  # an interface without IPv4
            yield socket.inet_ntoa(answer[20:24])


def _ipv6_addresses() -> Iterator[str]:
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        yield socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0]))


def _can_bind(family: socket.AddressFamily, address: str) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
