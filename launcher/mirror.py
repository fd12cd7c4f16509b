"""The copying path of one connection: client bytes in, records offered to every replayer's queue.

framer -> selector -> redaction -> record -> queues. All in plain calls: nothing waits here. Each
request that the framer tells apart ends in exactly one of `TapCounters`. What is held of half-read requests and heads
is charged to the same budget as the queues.

After a request that may switch protocols (Upgrade, CONNECT) the app's next status line decides. So that this is not the
answer to a request before it, such a one ends the copying on a connection whose client has not waited for the app to
say something after each request: what follows may be requests, or be none.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from launcher.controls import Controls
from launcher.copied_head import HeadCopier
from launcher.counters import TapCounters
from launcher.framing import END, Body, End, Framed, Framer, Head, Unframed
from launcher.mirror_queue import RECORD_OVERHEAD_BYTES, Budget, MirrorQueue
from launcher.records import new_record
from launcher.sampling import Peer
from launcher.selection import ALL, Selection
from launcher.selector import PeerName, Selector

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[^\r\n]*\r?\n")
_SWITCHING_PROTOCOLS = 101
_LONGEST_ANSWER_BYTES = 16 * 1024  # of a status line, and of interim answers before the final one


@dataclass(frozen=True, kw_only=True)
class MirrorSettings:
    """What is copied, and what of it."""

    drop_headers: tuple[str, ...] = ()
    max_request_bytes: int = 4 * 1024**2
    split_output: bool = False  # records go round the queues instead of to every one
    selection: Selection = ALL
    in_dyno: bool = False  # so that a router says whose a request is


class Mirror:
    """What all connections share: the queues, the counters, the settings."""

    def __init__(
        self, queues: Sequence[MirrorQueue], budget: Budget, settings: MirrorSettings, controls: Controls | None = None
    ) -> None:
        self.counters = TapCounters()
        self.budget = budget
        self.settings = settings
        self.controls = controls or Controls()
        self._queues = queues
        self._turn = 0
        self._copied_head = HeadCopier(settings.drop_headers)
        self._selector = Selector(
            settings.selection, self.controls, max_request_bytes=settings.max_request_bytes, in_dyno=settings.in_dyno
        )
        self.skips = self._selector.skips  # bound once: every request asks

    def new_tap(self, peer_name: PeerName | None = None) -> RequestTap:
        """A tap for one more connection, whose client's socket tells its peer's name."""
        return RequestTap(self, self._selector.peer(peer_name))

    def count(self, counter: str) -> None:
        """Adds one to a counter of the tap's, by its name."""
        setattr(self.counters, counter, getattr(self.counters, counter) + 1)

    def offer(self, head: Head, body: bytes | bytearray) -> None:
        """Offers one request to every replayer's queue, or to the next one's when the output is split."""
        self.counters.offered += 1
        record = new_record(self._copied_head(head), body)
        if self.settings.split_output:
            self._queues[self._turn].offer(record)
            self._turn = (self._turn + 1) % len(self._queues)
            return
        for queue in self._queues:
            queue.offer(record)


class RequestTap:
    """One connection's view of the mirror: what the relay shows its bytes to."""

    def __init__(self, mirror: Mirror, peer: Peer) -> None:
        self._mirror = mirror
        self._peer = peer
        self._counters = mirror.counters
        self._budget = mirror.budget
        self._framer = Framer()
        self._request: Head | None = None  # the one that is kept: it has ended in no counter yet
        self._body = bytearray()  # not a list of its pieces: one of a byte takes many times that
        self._charged_bytes = 0  # for the request that is kept
        self._held_bytes = 0  # charged for what the framer holds
        self._switches = False  # the last request may switch protocols
        self._is_connect = False
        self._answer = b""
        self.app_has_spoken = True  # since the last request began; nothing is to be waited for before the first one
        self._is_pipelined = False  # a request has begun before the app had said anything to the one before it
        self.wants_app = False  # the last request is complete and may switch protocols: the app's answer decides

    def client_sent(self, data: bytes) -> None:
        """Bytes that the client has sent, in order."""
        if not self._framer.stopped:
            self._handle(self._framer.receive(data))

    def indifferent_bytes(self) -> int:
        """How many of the client's next bytes it need not see: all, or those of a body that is not copied."""
        if self._framer.stopped:
            return sys.maxsize
        return 0 if self._request is not None else self._framer.bytes_in_piece

    def client_sent_unseen(self, nbytes: int) -> None:
        """As many bytes have gone to the app, of those that it need not see."""
        if not self._framer.stopped:
            self._handle(self._framer.skip(nbytes))

    def app_sent(self, data: bytes) -> None:
        """Bytes that the app has sent while `wants_app` was true."""
        self._answer += data
        while (match := _STATUS_LINE.match(self._answer)) is not None:
            status = int(match[1])
            is_interim = 100 <= status < 200 and status != _SWITCHING_PROTOCOLS
            if not is_interim:
                self._decide(status)
                return
            end = self._answer.find(b"\r\n\r\n")
            if end < 0:
                break
            self._answer = self._answer[end + 4 :]
        if len(self._answer) > _LONGEST_ANSWER_BYTES or not _may_become_status_line(self._answer):
            self._decide(_SWITCHING_PROTOCOLS)  # whatever the app speaks there, it is not HTTP/1.x

    def closed(self) -> None:
        """The connection has ended."""
        if self._request is not None:
            self._end_as("incomplete")
        self._stop()

    def abandon(self) -> None:
        """The tap has raised."""
        self._end_as("failed")
        self._stop()

    def _handle(self, events: list[Framed]) -> None:
        if 2 <= len(events) <= 3 and isinstance(head := events[0], Head) and events[-1] is END and not head.switches:
            if len(events) == 2:  # a request without a body, in one piece: most of them
                self._copy_whole(head, b"")
                return
            if isinstance(body := events[1], Body):
                self._copy_whole(head, body.data)
                return
        for event in events:
            if isinstance(event, Head):
                self._begin(event)
            elif isinstance(event, Body):
                self._keep(event.data)
            elif isinstance(event, End):
                self._complete()
            elif isinstance(event, Unframed):
                self._end_as("unframed")
                self._stop()
        if self._framer.held_bytes != self._held_bytes:
            self._charge_held()

    def _copy_whole(self, head: Head, body: bytes) -> None:
        """As `_begin`, `_keep` and `_complete`, for a request of which nothing need be kept in between."""
        mirror = self._mirror
        if not self.app_has_spoken:
            self._is_pipelined = True
        self.app_has_spoken = False
        skipped = mirror.skips(head, len(body), self._peer)
        if skipped is not None:
            self._end_as(skipped)
        else:
            self._counters.seen += 1
            mirror.offer(head, body)
        if self._held_bytes:
            self._charge_held()

    def _begin(self, head: Head) -> None:
        if not self.app_has_spoken:
            self._is_pipelined = True
        self.app_has_spoken = False
        if head.switches and self._is_pipelined:
            self._switches = False
            self._end_as("unframed")
            self._stop()
            return
        self._switches = head.switches
        self._is_connect = head.method == b"CONNECT"
        skipped = self._mirror.skips(head, head.body_length or 0, self._peer)
        if skipped is not None:
            self._end_as(skipped)
            return
        self._counters.seen += 1
        self._request = head
        self._charge(head.held_bytes + RECORD_OVERHEAD_BYTES)

    def _keep(self, data: bytes) -> None:
        if self._request is None:
            return
        if len(self._request.raw) + len(self._body) + len(data) > self._mirror.settings.max_request_bytes:
            self._end_as("dropped_large")  # chunked: its head didn't tell
        elif self._charge(len(data)):
            self._body += data

    def _complete(self) -> None:
        if self._switches:
            self.wants_app = True
        elif self._request is not None:
            self._offer()

    def _decide(self, status: int) -> None:
        self.wants_app = False
        self.app_has_spoken = True
        self._answer = b""
        if status == _SWITCHING_PROTOCOLS or (self._is_connect and 200 <= status < 300):
            if self._request is not None:
                self._end_as("skipped_upgrade")
            self._stop()
            return
        if self._request is not None:
            self._offer()
        self._handle(self._framer.resume())

    def _offer(self) -> None:
        assert self._request is not None
        head, body = self._request, self._body
        self._release()
        self._mirror.offer(head, body)

    def _end_as(self, counter: str) -> None:
        """Ends the request that is kept, or one that never was, in a counter."""
        if self._request is None:
            self._counters.seen += 1
        self._mirror.count(counter)
        self._release()

    def _charge(self, nbytes: int) -> bool:
        if self._budget.take(nbytes):
            self._charged_bytes += nbytes
            return True
        self._end_as("dropped_buffer")
        return False

    def _release(self) -> None:
        self._budget.give_back(self._charged_bytes)
        self._request = None
        self._body = bytearray()
        self._charged_bytes = 0

    def _charge_held(self) -> None:
        held = self._framer.held_bytes
        if held > self._held_bytes and not self._budget.take(held - self._held_bytes):
            self._end_as("dropped_buffer")
            self._stop()
            return
        if held < self._held_bytes:
            self._budget.give_back(self._held_bytes - held)
        self._held_bytes = held

    def _stop(self) -> None:
        """Ends mirroring on this connection; what follows is relayed only."""
        self._framer.stop()
        self.wants_app = False
        self._budget.give_back(self._held_bytes)
        self._held_bytes = 0


def _may_become_status_line(answer: bytes) -> bool:
    start = answer[: len(b"HTTP/1.")]
    return b"HTTP/1.".startswith(start)
