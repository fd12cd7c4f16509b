"""TLS to a destination: what is trusted, and the handshake, without tasks."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterable

from launcher.poller import READABLE, WRITABLE, Poller
from launcher.replay.outcomes import Ended

# Where systems keep their CAs in one file. A Python that was built elsewhere may look in none of these places.
CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # RHEL, Fedora, Amazon Linux
    "/etc/pki/tls/certs/ca-bundle.crt",  # older ones of these
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, BSD
)


def tls_context(*, verifies: bool = True, ca_files: Iterable[str] = CA_FILES) -> tuple[ssl.SSLContext, str]:
    """Verifies against the system's CAs (SSL_CERT_FILE and SSL_CERT_DIR first), and speaks HTTP/1.1 only.

    Also returns what must be said of the CAs, or "".
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION  # so that sending never has to read first
    if not verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context, ""
    return context, _find_authorities(context, ca_files)


def _find_authorities(context: ssl.SSLContext, ca_files: Iterable[str]) -> str:
    paths = ssl.get_default_verify_paths()  # without those that don't exist
    if context.cert_store_stats()["x509_ca"] or (paths.capath and os.listdir(paths.capath)):
        return ""
    looked = f"{paths.openssl_cafile} and {paths.openssl_capath}"
    for path in ca_files:
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError):
            continue
        return f"no CAs are in {looked}, where this Python looks: those of {path} are taken"
    return f"no CAs were found (in {looked} or the usual places): every https copy will end as tls; set SSL_CERT_FILE"


class Handshake:
    """One connection's handshake. Exactly one call of `done` follows `start`, but none after `cancel`."""

    def __init__(self, poller: Poller, done: Callable[[socket.socket | Ended], None]) -> None:
        self._poller = poller
        self._done = done
        self._socket: ssl.SSLSocket | None = None
        self._events = 0

    def start(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        """Takes over the socket, which is not registered."""
        try:
            self._socket = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        except (OSError, ValueError) as error:
            self._poller.close_later(sock)
            self._done(_ended(error))
            return
        self._on_event(0)

    def cancel(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._forget()
            self._poller.close_later(self._socket)
            self._socket = None

    def _on_event(self, _ready: int) -> None:
        assert self._socket is not None
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._wait(READABLE)
        except ssl.SSLWantWriteError:
            self._wait(WRITABLE)
        except (OSError, ValueError) as error:
            self.cancel()
            self._done(_ended(error))
        else:
            self._forget()
            sock, self._socket = self._socket, None
            self._done(sock)

    def _wait(self, events: int) -> None:
        assert self._socket is not None
        if not self._events:
            self._poller.register(self._socket.fileno(), events, self._on_event)
        elif events != self._events:
            self._poller.modify(self._socket.fileno(), events)
        self._events = events

    def _forget(self) -> None:
        assert self._socket is not None
        if self._events:
            self._poller.unregister(self._socket.fileno())
            self._events = 0


def _ended(error: OSError | ValueError) -> Ended:
    if isinstance(error, ssl.SSLCertVerificationError):
        return Ended("tls", f"the certificate is not valid: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "ended early").lower().replace("_", " ")
        return Ended("tls", f"the TLS handshake failed: {reason}")
    if isinstance(error, OSError):
        return Ended("reset", f"{(error.strerror or type(error).__name__).lower()} during the TLS handshake")
    return Ended("tls", "the destination's name can't be in a certificate")
