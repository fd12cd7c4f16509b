"""TLS to a destination: what is trusted, and what a handshake that failed is called.

Shared by the built-in replayer and `--dry-run`, so that the one says what the other will meet.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable

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


def handshake_failure(error: OSError | ValueError) -> tuple[str, str]:
    """The outcome of a copy whose handshake ended so, and what happened, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls", f"the certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "ended early").lower().replace("_", " ")
        return "tls", f"the TLS handshake failed: {reason}"
    if isinstance(error, OSError):
        return "reset", f"{(error.strerror or type(error).__name__).lower()} during the TLS handshake"
    return "tls", "the destination's name can't be in a certificate"


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
