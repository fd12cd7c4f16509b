"""Tells by a request's head alone whether it is copied: before a byte of its body is held.

In this order: the loop guard; what is turned off or paused; what is wanted at all; of that the share; what is too
large; and last the rate, so that only what is wanted uses it up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from launcher.controls import Controls
from launcher.copied_head import is_copy
from launcher.framing import Head
from launcher.rate_limit import RateLimit
from launcher.sampling import Peer, Sampler, peer_of
from launcher.selection import Selection, make_filter

PeerName = Callable[[], Any]  # a socket's `getpeername`

_UNKNOWN = Peer()


class Selector:
    """One for all connections."""

    def __init__(
        self,
        selection: Selection,
        controls: Controls,
        *,
        max_request_bytes: int,
        in_dyno: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._controls = controls
        self._max_request_bytes = max_request_bytes
        self._in_dyno = in_dyno
        self._clock = clock
        self._wants = make_filter(selection, clock)
        self._sampler = Sampler(selection.sample_by)
        self._rate_limit = RateLimit()
        self._asks_for_peers = selection.sample_by is not None and selection.sample_by.kind == "client"

    def peer(self, name: PeerName | None) -> Peer:
        """Who has opened a connection, if that matters."""
        if not self._asks_for_peers or name is None:
            return _UNKNOWN
        try:
            address = name()
        except OSError:  # it has gone already
            return _UNKNOWN
        return peer_of(address[0] if isinstance(address, tuple) else "", in_dyno=self._in_dyno)

    def skips(self, head: Head, body_bytes: int, peer: Peer) -> str | None:
        """The tap's counter in which a request ends, as far as its head tells; None for one that is wanted."""
        if head.marked and is_copy(head):
            return "skipped_loop"
        if self._wants is not None or not self._controls.copies_all:
            return self._skips_by_choice(head, body_bytes, peer)
        if len(head.raw) + body_bytes > self._max_request_bytes:
            return "dropped_large"
        return None

    def _skips_by_choice(self, head: Head, body_bytes: int, peer: Peer) -> str | None:
        controls = self._controls
        if not controls.is_copying:
            return "skipped_paused"
        if self._wants is not None and not (is_wanted := self._wants(head.method, head.target)):
            return "skipped_unjudged" if is_wanted is None else "skipped_filter"
        if controls.sample_percent < 100 and not self._sampler.takes(head.raw, peer, controls.sample_percent):
            return "skipped_sample"
        if len(head.raw) + body_bytes > self._max_request_bytes:
            return "dropped_large"
        rate = controls.rate_per_second
        if rate is not None and not self._rate_limit.admits(self._clock(), rate):
            return "skipped_rate"
        return None
