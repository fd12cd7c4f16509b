"""Opens connections to one destination: name, TCP (happy eyeballs), TLS, and a back-off while it refuses.

While the destination is in back-off, records end at once with the outcome of the last failed connect instead of piling
up: what they would meet later is a destination that has just come back, and a burst of old traffic.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl

import trio

from launcher.replay.backoff import Backoff
from launcher.replay.connection import Connection, Ended


def tls_context() -> ssl.SSLContext:
    """Verifies against the system's CAs (or SSL_CERT_FILE), and speaks HTTP/1.1 only."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION  # so that sending never has to read first
    return context


class Connector:
    """One destination's. `tls` is None for http."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._backoff = Backoff()
        self._last_failure = Ended("refused")

    async def connect(self) -> Connection | Ended:
        """A new connection, or why there is none. Has no time-out of its own."""
        started = trio.current_time()
        if not self._backoff.may_connect(started):
            await trio.lowlevel.checkpoint()
            return self._last_failure
        try:
            connection = await self._connect()
        except BaseException:
            self._backoff.timed_out(started, trio.current_time())
            raise
        if isinstance(connection, Ended):
            self._last_failure = connection
            self._backoff.failed(started, trio.current_time())
        else:
            self._backoff.succeeded()
        return connection

    async def _connect(self) -> Connection | Ended:
        try:
            stream = await trio.open_tcp_stream(self._host, self._port)
        except (socket.gaierror, UnicodeError) as error:
            return Ended("dns", f"the name was not found: {_words(error)}")
        except OSError as error:
            return _no_connection(error)
        sock = socket.socket(fileno=stream.socket.detach())
        sock.setblocking(False)
        if self._tls is None:
            return Connection(sock)
        try:
            return Connection(await self._handshake(sock, self._tls))
        except ssl.SSLError as error:
            return Ended("tls", _tls_words(error))
        except OSError as error:
            return Ended("reset", f"{_words(error)} during the TLS handshake")
        except ValueError:
            return Ended("tls", "the destination's name can't be in a certificate")

    async def _handshake(self, sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        try:
            tls_socket = context.wrap_socket(sock, server_hostname=self._host, do_handshake_on_connect=False)
        except BaseException:
            sock.close()
            raise
        try:
            while True:
                try:
                    tls_socket.do_handshake()
                    return tls_socket
                except ssl.SSLWantReadError:
                    await trio.lowlevel.wait_readable(tls_socket)
                except ssl.SSLWantWriteError:
                    await trio.lowlevel.wait_writable(tls_socket)
        except BaseException:
            tls_socket.close()
            raise


def _no_connection(error: OSError) -> Ended:
    """What trio's "all attempts failed" means: each address' error is in the group that caused it."""
    group = error.__cause__
    errors = [each for each in getattr(group, "exceptions", ()) if isinstance(each, OSError)] or [error]
    words = ", ".join(dict.fromkeys(os.strerror(each.errno).lower() for each in errors if each.errno))
    if all(each.errno == errno.ETIMEDOUT for each in errors):
        return Ended("timeout", words)
    return Ended("refused", words)


def _words(error: OSError | UnicodeError) -> str:
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


def _tls_words(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not valid: {error.verify_message}"
    return f"the TLS handshake failed: {(error.reason or 'ended early').lower().replace('_', ' ')}"
