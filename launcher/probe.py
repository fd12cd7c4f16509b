"""Reaches destinations as the replayer will: name, connection, a proxy's tunnel, TLS; each with its time.

No request is sent. All are reached at once, each in a thread of its own, and the whole is bounded: what is not done by
then is told as silent. A thread that is stuck in a name server's silence is left behind.
"""

from __future__ import annotations

import errno
import os
import re
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from launcher.destinations import host_port
from launcher.proxies import Proxy
from launcher.tls_trust import handshake_failure, tls_context

TOTAL_SECONDS = 6.0  # a copy has 5 s, gor's --output-http-timeout
STAGGER_SECONDS = 0.25  # RFC 8305 §5: the Connection Attempt Delay, as in the replayer

_MAX_ANSWER_BYTES = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})[ \r\n]")


@dataclass(frozen=True)
class Target:
    """What to reach. With `proxy` and without `has_tls` only the proxy is reached: what is behind it can't be seen."""

    host: str
    port: int
    has_tls: bool = False
    verifies: bool = True
    proxy: Proxy | None = None


@dataclass(frozen=True)
class Step:
    """One stage of the way, and how it ended."""

    name: str  # name, connection, tunnel or certificate
    is_fine: bool
    milliseconds: float
    text: str  # what was found, or what went wrong


@dataclass
class Reached:
    """What came of a target, as far as it got."""

    target: Target
    steps: list[Step] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)  # that its name has; a proxy's own, if there is one
    certificate_days: float | None = None  # until it ends; None if nobody verifies it
    notes: list[str] = field(default_factory=list)

    @property
    def failure(self) -> Step | None:
        """The stage that went wrong."""
        return next((step for step in self.steps if not step.is_fine), None)


class _Failed(Exception):
    """A stage that went wrong, in words."""


class _Attempt:
    """One target's way, in a thread."""

    def __init__(self, target: Target, deadline: float) -> None:
        self._target = target
        self._deadline = deadline
        self._stage, self._stage_start = "name", time.monotonic()
        self._lock = threading.Lock()
        self._is_told = False
        self._reached = Reached(target)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> Reached:
        """What came of it by the deadline."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()) + 0.1)
        with self._lock:
            if not self._is_told:
                self._is_told = True
                self._reached.steps.append(self._step(False, f"silent for {self._seconds():.1f} s"))
            return self._reached

    def _run(self) -> None:
        sock: socket.socket | None = None
        try:
            way = self._target.proxy or self._target
            found = self._look_up(way.host, way.port)
            sock = self._connect(found)
            if self._target.has_tls and self._target.proxy is not None:
                self._open_tunnel(sock, self._target.proxy)
            if self._target.has_tls:
                sock = self._shake_hands(sock)
        except _Failed as error:
            self._note(self._step(False, str(error)))
        finally:
            if sock is not None:
                sock.close()
            with self._lock:
                self._is_told = True

    def _look_up(self, host: str, port: int) -> list[tuple[int, Any]]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            words = (getattr(error, "strerror", None) or type(error).__name__).lower()
            raise _Failed(f"the name was not found: {words}") from None
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        self._reached.addresses += addresses
        if addresses == [host]:  # an address, which needs no looking up
            self._stage, self._stage_start = "connection", time.monotonic()
            return [(family, sockaddr) for family, _, _, _, sockaddr in found]
        more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
        self._next("connection", ", ".join(addresses[:3]) + more)
        return [(family, sockaddr) for family, _, _, _, sockaddr in found]

    def _connect(self, found: Sequence[tuple[int, Any]]) -> socket.socket:
        sock, (address, port, *_) = _connect_to_first(found, self._deadline)
        proxy = "the proxy at " if self._target.proxy is not None else ""
        self._next("tunnel" if proxy else "certificate", f"{proxy}{host_port(address, port)}")
        return sock

    def _open_tunnel(self, sock: socket.socket, proxy: Proxy) -> None:
        try:
            sock.settimeout(self._left())
            sock.sendall(proxy.connect_request(self._target.host, self._target.port))
            answer = b""
            while b"\r\n\r\n" not in answer and len(answer) < _MAX_ANSWER_BYTES:
                sock.settimeout(self._left())
                data = sock.recv(4096)
                if not data:
                    raise _Failed("the proxy closed before it had answered CONNECT")
                answer += data
        except TimeoutError:
            raise _Failed(f"the proxy was silent for {self._seconds():.1f} s") from None
        except OSError as error:
            raise _Failed(f"the proxy: {(error.strerror or 'broken').lower()}") from None
        status = _STATUS.match(answer)
        if status is None:
            raise _Failed("the proxy does not answer CONNECT in HTTP/1.x")
        if not status[1].startswith(b"2"):
            raise _Failed(f"the proxy answered {status[1].decode()} to CONNECT")
        self._next("certificate", "the proxy opened it")

    def _shake_hands(self, sock: socket.socket) -> socket.socket:
        """If nobody verifies the certificate, it is judged nevertheless: its fault is told, and is none."""
        context, note = tls_context()
        if note:
            self._reached.notes.append(note)
        sock.settimeout(self._left())
        try:
            secured = context.wrap_socket(sock, server_hostname=self._target.host)
        except TimeoutError:
            raise _Failed(f"silent for {self._seconds():.1f} s during the TLS handshake") from None
        except ssl.SSLCertVerificationError as error:
            if self._target.verifies:
                raise _Failed(handshake_failure(error)[1]) from None
            self._next("", f"not valid ({error.verify_message}), but nobody looks at it")
            return sock
        except (OSError, ValueError) as error:
            raise _Failed(handshake_failure(error)[1]) from None
        self._next("", f"{secured.version()}, {self._validity(secured)}")
        return secured

    def _validity(self, sock: ssl.SSLSocket) -> str:
        end = str((sock.getpeercert() or {}).get("notAfter", ""))
        if not end:
            return "valid"
        seconds = ssl.cert_time_to_seconds(end)
        self._reached.certificate_days = (seconds - time.time()) / 86400
        return f"valid until {time.strftime('%Y-%m-%d', time.gmtime(seconds))}"

    # ---- the account --------------------------------------------------------------------------------------------

    def _next(self, stage: str, text: str) -> None:
        """The stage that was has ended well."""
        self._note(self._step(True, text))
        self._stage, self._stage_start = stage, time.monotonic()

    def _note(self, step: Step) -> None:
        with self._lock:
            if not self._is_told:
                self._reached.steps.append(step)

    def _step(self, is_fine: bool, text: str) -> Step:
        return Step(self._stage, is_fine, round(self._seconds() * 1000, 1), text)

    def _seconds(self) -> float:
        return time.monotonic() - self._stage_start

    def _left(self) -> float:
        return max(0.001, self._deadline - time.monotonic())


def reach(targets: Sequence[Target], seconds: float = TOTAL_SECONDS) -> list[Reached]:
    """What came of each, in their order; takes at most `seconds` and a little."""
    deadline = time.monotonic() + seconds
    return [attempt.wait() for attempt in [_Attempt(target, deadline) for target in targets]]


def _connect_to_first(found: Sequence[tuple[int, Any]], deadline: float) -> tuple[socket.socket, Any]:
    """The addresses in their order, the next when one has failed or was silent for a while. Raises _Failed."""
    untried = list(found)
    errors: list[int] = []
    started = time.monotonic()
    with selectors.DefaultSelector() as selector:
        try:
            while untried or selector.get_map():
                if untried:
                    _begin(selector, *untried.pop(0), errors)
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                for key, _ in selector.select(min(STAGGER_SECONDS, left) if untried else left):
                    sock = key.fileobj
                    assert isinstance(sock, socket.socket)
                    selector.unregister(sock)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        sock.setblocking(True)
                        return sock, key.data
                    sock.close()
                    errors.append(code)
            silent = bool(selector.get_map())
        finally:
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
    if silent:
        raise _Failed(f"silent for {time.monotonic() - started:.1f} s")
    raise _Failed(", ".join(dict.fromkeys(os.strerror(code).lower() for code in errors)) or "there is no address")


def _begin(selector: selectors.BaseSelector, family: int, address: Any, errors: list[int]) -> None:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        errors.append(error.errno or errno.EIO)
        return
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code in (0, errno.EINPROGRESS):
        selector.register(sock, selectors.EVENT_WRITE, address)
    else:
        sock.close()
        errors.append(code)
