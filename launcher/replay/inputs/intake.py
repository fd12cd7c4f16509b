"""Client bytes in, records and answers out: what `--input-http` makes of one connection. No I/O.

A request is answered with gor's own answer as soon as it is whole; what becomes of its copies is nobody's to wait for.
Heads are copied as the launcher's mirror copies them: the headers of one hop are left out, the loop guard is added.
"""

from __future__ import annotations

import time
from email.utils import formatdate

from launcher.copied_head import HeadCopier, is_copy
from launcher.framing import Body, End, Framed, Framer, Head, Incomplete, Unframed
from launcher.records import new_record
from launcher.replay.failures import defect
from launcher.replay.inputs import InputTally, Receive
from launcher.replay.limiters import Limiter

RECORD_OVERHEAD_BYTES = 256
# Beyond what is surely body little is read at once: 8 KiB may be 450 requests, with 70 KB of answers and 10 ms of work.
_LEAST_RECEIVED_BYTES = 8 * 1024
_MOST_RECEIVED_BYTES = 64 * 1024

# What gor 0.9.2 to 0.14.1 answers, Go's http.Error(w, "OK", 200), always.
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nDate: %s\r\n%s"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSALS = {
    400: b"Bad Request", 405: b"Method Not Allowed", 413: b"Content Too Large", 431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}  # fmt: skip

_copied_head = HeadCopier()


def refusal(status: int) -> bytes:
    """An answer after which the connection is closed."""
    return b"HTTP/1.1 %d %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % (status, _REFUSALS[status])


class Intake:
    """What the connections of one input share: the account, the limits, where records go."""

    def __init__(
        self, tally: InputTally, receive: Receive, limiter: Limiter | None, max_request_bytes: int, max_held_bytes: int
    ) -> None:
        """`max_held_bytes` bounds what all connections together hold of requests half read."""
        self.tally = tally
        self.max_request_bytes = max_request_bytes
        self.max_held_bytes = max_held_bytes
        self.held_bytes = 0
        self.is_stopping = False  # the next answer on each connection is its last one
        self._receive = receive
        self._limiter = limiter
        self._date = b""
        self._date_second = 0

    def take(self, head: Head, body: bytes | bytearray) -> None:
        """One whole request."""
        if is_copy(head):
            self.tally.count("skipped_loop", "a copy came back: what sends to this input is a copy already")
        elif self._limiter is not None and not self._limiter.admits():
            self.tally.count("limited")
        else:
            self.tally.hand_on(new_record(_copied_head(head), body), self._receive)

    def date(self) -> bytes:
        """The value of Date, RFC 9110 §5.6.7."""
        now = int(time.time())
        if now != self._date_second:
            self._date, self._date_second = formatdate(now, usegmt=True).encode(), now
        return self._date


class ConnectionIntake:
    """One connection's side of it."""

    def __init__(self, intake: Intake) -> None:
        self.answered = 0  # requests
        self.is_done = False  # nothing more is read; the connection is to be closed when the answers are sent
        self._intake = intake
        self._framer = Framer()
        self._head: Head | None = None  # of the request that is half read
        self._body = bytearray()
        self._charged_bytes = 0
        self._answers: list[bytes] = []

    @property
    def is_busy(self) -> bool:
        """A request is half read."""
        return self._head is not None or self._framer.held_bytes > 0

    @property
    def wanted_bytes(self) -> int:
        """How many bytes should be read at once."""
        return max(_LEAST_RECEIVED_BYTES, min(self._framer.bytes_in_piece, _MOST_RECEIVED_BYTES))

    def receive(self, data: bytes) -> bytes:
        """What to answer to the next bytes of the client."""
        self._handle(self._framer.receive(data))
        while self._framer.paused and not self.is_done:  # a 200 has declined the switch of protocols
            self._handle(self._framer.resume())
        self._charge()
        answers, self._answers = self._answers, []
        return b"".join(answers)

    def closed(self) -> None:
        """The connection has ended, or is about to."""
        if self._head is not None:
            self._intake.tally.count("incomplete")
            self._drop()
        self._framer.stop()
        self._charge()

    def failed(self, error: Exception) -> None:
        """A defect: the request that is half read, if any, and what follows it are not taken."""
        self._intake.tally.count("failed", defect(error))
        self._drop()

    def _handle(self, events: list[Framed]) -> None:
        for position, event in enumerate(events):
            if self.is_done:
                return
            if isinstance(event, Head):
                self._begin(event, has_more=position + 1 < len(events))
            elif isinstance(event, Body):
                self._keep(event.data)
            elif isinstance(event, End):
                is_newest = not any(isinstance(later, Head) for later in events[position + 1 : position + 2])
                has_more = self._framer.paused and self._framer.held_bytes > 0  # behind an Upgrade
                is_stopping = self._intake.is_stopping and not has_more
                self._complete(is_last=is_newest and (self._framer.is_last or is_stopping))
            elif isinstance(event, Unframed):
                self._unframed(event.reason)
            else:
                assert isinstance(event, Incomplete), "there is no other event"

    def _begin(self, head: Head, *, has_more: bool) -> None:
        self._head = head
        if head.method == b"CONNECT":
            self._refuse(405, "refused", "a CONNECT asks for a tunnel: there is none here")
        elif len(head.raw) + (head.body_length or 0) > self._intake.max_request_bytes:
            self._refuse_large()
        elif not has_more and head.body_length != 0 and _expects_continue(head.raw):
            self._answers.append(_CONTINUE)

    def _keep(self, data: bytes) -> None:
        assert self._head is not None, "a body has its head"
        if len(self._head.raw) + len(self._body) + len(data) > self._intake.max_request_bytes:
            self._refuse_large()  # chunked: its head didn't tell
        else:
            self._body += data

    def _complete(self, *, is_last: bool) -> None:
        assert self._head is not None, "an end has its head"
        head, body = self._head, self._body
        self._drop()
        self._intake.take(head, body)
        self._answer(head, is_last=is_last)

    def _answer(self, head: Head, *, is_last: bool) -> None:
        self.answered += 1
        self.is_done = is_last
        rest = b"Content-Length: 3\r\n"
        if self.is_done:
            rest += b"Connection: close\r\n"
        elif head.raw.find(b" HTTP/1.0\r\n", 0, head.raw.index(b"\n") + 1) >= 0:
            rest += b"Connection: keep-alive\r\n"  # its client asked for it, and would not believe it otherwise
        rest += b"\r\n" if head.method == b"HEAD" else b"\r\nOK\n"
        self._answers.append(_OK % (self._intake.date(), rest))

    def _unframed(self, reason: str) -> None:
        if reason == "data-after-close":
            self.is_done = True
            return
        self._refuse(431 if reason == "head-too-large" else 400, "malformed", reason)

    def _refuse_large(self) -> None:
        bound = self._intake.max_request_bytes
        self._refuse(413, "too_large", f"more than {bound} bytes: --copy-buffer-size sets the bound")

    def _refuse(self, status: int, counter: str, error: str) -> None:
        self._intake.tally.count(counter, error)
        self._answers.append(refusal(status))
        self.is_done = True
        self._drop()
        self._framer.stop()

    def _drop(self) -> None:
        self._head = None
        self._body = bytearray()

    def _charge(self) -> None:
        held = self._framer.held_bytes
        if self._head is not None:
            held += self._head.held_bytes + len(self._body) + RECORD_OVERHEAD_BYTES
        if held > self._charged_bytes and self._intake.held_bytes + held - self._charged_bytes > (
            self._intake.max_held_bytes
        ):
            self._refuse(503, "dropped_buffer", "too many requests are half read")
            held = 0
        self._intake.held_bytes += held - self._charged_bytes
        self._charged_bytes = held


def _expects_continue(head: bytes) -> bool:
    """RFC 9110 §10.1.1; an HTTP/1.0 client can't mean it."""
    lowered = head.lower()
    found = lowered.find(b"\nexpect:")
    return found >= 0 and b"100-continue" in lowered[found : lowered.index(b"\r", found)] and (
        b" http/1.0\r\n" not in lowered[: lowered.index(b"\n") + 1]
    )
