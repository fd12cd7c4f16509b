"""Which proxy leads to a destination, by the environment: as Go (golang.org/x/net/http/httpproxy) and gor 1.3 do it.

HTTPS_PROXY for https, HTTP_PROXY for http, in capitals first; NO_PROXY is a list of `*`, names (with all below them),
`.names` (only those below), addresses and networks, each with or without a port. Loopback is never reached by proxy.

The variables are the app's, and may name what only the app can use: then nothing is sent, as the network's owner wants
no way around the proxy, and the copies hold credentials.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from launcher.destinations import host_port, parse_destination


@dataclass(frozen=True)
class Proxy:
    """An http proxy."""

    host: str
    port: int
    authorization: bytes = field(default=b"", repr=False)  # Proxy-Authorization's value, if it wants one

    def connect_request(self, host: str, port: int) -> bytes:
        """What asks it for a tunnel. Not for the log."""
        authority = host_port(host, port)
        head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n".encode("ascii")
        credentials = b"Proxy-Authorization: %s\r\n" % self.authorization if self.authorization else b""
        return head + credentials + b"\r\n"


@dataclass(frozen=True)
class UnusableProxy:
    """What a variable says is no http proxy: SOCKS, one that speaks TLS itself, or no address at all."""

    variable: str

    @property
    def error(self) -> str:
        """For people; it tells nothing of the value, which may hold a password."""
        return (
            f"{self.variable} is not the address of an http proxy, such as http://proxy:3128, and nothing is sent "
            "around it: NO_PROXY can except the destination"
        )


def proxy_for(scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | UnusableProxy | None:
    """The proxy for this destination; None for none."""
    name = f"{scheme}_proxy"
    variable = name.upper() if environ.get(name.upper()) else name
    text = environ.get(variable, "")
    if not text or _is_local(host):
        return None
    excluded = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if any(_excludes(entry.strip().lower(), host.lower(), port) for entry in excluded.split(",")):
        return None
    try:
        place, _ = parse_destination(text)
    except ValueError:
        return UnusableProxy(variable)
    if place.scheme != "http":
        return UnusableProxy(variable)
    authorization = b""
    if place.userinfo is not None:
        user, _, password = place.userinfo.partition(":")
        authorization = b"Basic " + base64.b64encode(unquote_to_bytes(user) + b":" + unquote_to_bytes(password))
    return Proxy(place.host, place.port, authorization)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _excludes(entry: str, host: str, port: int) -> bool:
    if not entry or entry == "*":
        return bool(entry)
    name, colon, digits = entry.rpartition(":")
    if colon and re.fullmatch(r"[0-9]+", digits) and (name.endswith("]") or ":" not in name):
        if digits.lstrip("0") != str(port):
            return False
        entry = name
    entry = entry.strip("[]")
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass  # one of the two is a name
    entry = entry.removeprefix("*")
    return host.endswith(entry) if entry.startswith(".") else host == entry or host.endswith("." + entry)
