"""One value of `--input-http` or `--input-tcp`: where to listen, and how much of what comes is taken."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from launcher.destinations import Limit, check_host, host_port, split_limit

_EXAMPLE = "an address to listen on, such as :8081, 127.0.0.1:8081 or [::1]:8081, with |10 (a second) or |10% behind it"


@dataclass(frozen=True)
class ListenAddress:
    """A checked address."""

    host: str  # a name, an IPv4 address, or an IPv6 address without its brackets; empty: every address of the machine
    port: int  # 0: any that is free
    limit: Limit | None

    @property
    def shown(self) -> str:
        """The address without the limit."""
        return host_port(self.host, self.port)

    def with_port(self, port: int) -> ListenAddress:
        """The same with the port that was free."""
        return replace(self, port=port)


def parse_listen_address(text: str) -> ListenAddress:
    """The address, as Go's `net.Listen` reads it. A ValueError completes "must be ..."."""
    address, limit = split_limit(text)
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or re.search(r"[\s/@]", host):
        raise ValueError(_EXAMPLE)
    return ListenAddress(check_host(host) if host else "", int(port), limit)
