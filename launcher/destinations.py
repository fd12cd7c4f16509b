"""One value of `--output-http`: where copies go, and how many of them.

gor takes nearly any text here and then loses every copy without a word: a host without scheme is never reached (1.3),
a path in the URL replaces the path of every request (1.3), a limit that is 0 or no number replays nothing, an IPv6
address without a port is never connected to (1.2). So a destination is read strictly and written back in the one
form that all releases understand alike. No error or warning repeats the text: it may hold a password.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

MAX_RATE = 2**31 - 1  # gor's int on every machine that it is built for

_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*)://", re.IGNORECASE)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?")  # RFC 1123 §2.1, and underscores
_USERINFO = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*")  # what Go's url.Parse takes for userinfo

_ROLE = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,31})=(?=.)", re.DOTALL)

_EXAMPLE = "http://host or https://host:8443, with |10 (a second) or |10% behind it for fewer copies"


@dataclass(frozen=True)
class Limit:
    """At most `amount` copies a second, or `amount` percent of them, drawn by lot."""

    amount: int
    is_percent: bool

    def __str__(self) -> str:
        return f"{self.amount}%" if self.is_percent else str(self.amount)


def host_port(host: str, port: int) -> str:
    """The two as one text, an IPv6 address in brackets: RFC 3986 §3.2."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True)
class Destination:
    """A checked destination. `port` is the one to connect to, `has_port` whether the address names it."""

    scheme: str  # http or https
    host: str  # a name, an IPv4 address, or an IPv6 address without its brackets
    port: int
    userinfo: str | None = field(repr=False)  # `user:password` as written, not %-decoded
    limit: Limit | None
    has_port: bool

    @property
    def host_header(self) -> str:
        """What gor makes of `Host`: the address as given, without a port that it doesn't name (RUN, both releases)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.has_port else host

    @property
    def url(self) -> str:
        """The address with its credentials, without the limit. Not for the log."""
        return f"{self.scheme}://{self.userinfo + '@' if self.userinfo else ''}{self.host_header}"

    @property
    def shown(self) -> str:
        """The address as it may be printed."""
        return f"{self.scheme}://{'***@' if self.userinfo else ''}{self.host_header}"

    @property
    def argument(self) -> str:
        """The value that `--output-http` gets. Not for the log."""
        return f"{self.url}|{self.limit}" if self.limit else self.url


def split_role(text: str) -> tuple[str, str]:
    """The role that stands before `=`, such as `candidate` in `candidate=https://next`, or ""; and the address."""
    match = _ROLE.match(text)
    return (match[1], text[match.end() :]) if match else ("", text)


def parse_limit(text: str) -> Limit:
    """The text behind `|`: 10 is a rate a second, 10% a share of 1 to 100. A ValueError completes "must be ...".

    gor reads everything else as 0: nothing is replayed, and 1.3 spins and can't be stopped by SIGTERM.
    """
    match = re.fullmatch(r"([0-9]{1,10})(%?)", text)
    amount = int(match[1]) if match else 0
    is_percent = bool(match and match[2])
    if not 1 <= amount <= (100 if is_percent else MAX_RATE):
        raise ValueError("an address whose limit, behind |, is a rate of 1 a second or more (|10) or 1% to 100% (|10%)")
    return Limit(amount, is_percent)


def split_limit(text: str) -> tuple[str, Limit | None]:
    """`address|limit` of any of gor's outputs. A ValueError completes "must be ..."."""
    address, *limits = text.split("|")
    if len(limits) > 1:
        raise ValueError("an address with one limit at most: gor reads the first | only")
    return address, parse_limit(limits[0]) if limits else None


def parse_destination(text: str) -> tuple[Destination, list[str]]:
    """The destination and what had to be assumed or left out. A ValueError completes "must be ..."."""
    if re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError(f"an address without spaces and control characters: {_EXAMPLE}")
    if not text.isascii():
        raise ValueError("an address in ASCII: a host in punycode (xn--...), anything else %-encoded")
    address, limit = split_limit(text)
    warnings = []
    match = _SCHEME.match(address)
    if not match:
        warnings.append("it has no scheme: http:// is assumed")
    scheme = match[1].lower() if match else "http"
    if scheme not in ("http", "https"):
        raise ValueError(f"an address of http or https, no other scheme: {_EXAMPLE}")
    authority, path = re.split(r"(?=[/?#])|\Z", address[match.end() if match else 0 :], maxsplit=1)
    if path not in ("", "/"):
        warnings.append("its path or query is left out: every copy keeps its own")
    userinfo, _, host_and_port = authority.rpartition("@")
    if not _USERINFO.fullmatch(userinfo):
        raise ValueError("an address whose user and password are %-encoded but for letters, digits and -._~")
    host, port = _host_and_port(host_and_port)
    # gor 1.2.0 can't connect to [::1] without a port: it looks for any colon to tell whether one is there.
    has_port = port is not None or ":" in host
    if port is None:
        port = 443 if scheme == "https" else 80
    return Destination(scheme, host, port, userinfo or None, limit, has_port), warnings


def masked(text: str) -> str:
    """The text as it may be printed, valid or not: credentials as ***, without path and query.

    It rather hides too much: everything before the last @ counts as credentials, since a password with an unquoted
    slash, space or | makes an invalid address that has to be shown nevertheless.
    """
    match = _SCHEME.match(text)
    scheme = match[0] if match else ""
    _, at, rest = text.removeprefix(scheme).rpartition("@")
    return scheme + ("***@" if at else "") + re.sub(r"[/?#][^|]*", "", rest)


def check_host(text: str) -> str:
    """A name or IPv4 address, or an IPv6 address without the brackets that `text` has. A ValueError completes "must
    be ..."."""
    host, port = _host_and_port(text)
    if port is not None:
        raise ValueError("an address with an IPv6 address in brackets, such as [2001:db8::1]:8080")
    return host


def _host_and_port(text: str) -> tuple[str, int | None]:
    bracketed = re.fullmatch(r"\[([^\[\]]*)\](:.*)?", text)
    if bracketed:
        host, rest = bracketed[1], bracketed[2] or ""
        _check_ipv6(host)
    elif text.count(":") > 1:
        raise ValueError("an address with an IPv6 address in brackets, such as http://[2001:db8::1]:8080")
    else:
        host, colon, port = text.partition(":")
        rest = colon + port
        _check_name(host)
    if not rest:
        return host, None
    if not re.fullmatch(r":[0-9]{1,5}", rest) or not 1 <= int(rest[1:]) <= 65535:
        raise ValueError(f"an address with a port from 1 to 65535: {_EXAMPLE}")
    return host, int(rest[1:])


def _check_ipv6(host: str) -> None:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        raise ValueError("an address with an IPv6 address in its brackets, such as http://[2001:db8::1]") from None
    if "%" in host:
        raise ValueError("an address without a zone: no other machine knows the part behind %")


def _check_name(host: str) -> None:
    if not host:
        raise ValueError(f"an address with a host: {_EXAMPLE}")
    labels = host.removesuffix(".").split(".")
    if "," in host:
        raise ValueError(f"an address, and several with spaces between them, not commas: {_EXAMPLE}")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"an address with a host of letters, digits, - and .: {_EXAMPLE}")
    if labels[-1].isdigit():  # no top-level domain is a number, so this is meant to be an IPv4 address
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise ValueError("an address whose IPv4 address has four numbers from 0 to 255") from None
