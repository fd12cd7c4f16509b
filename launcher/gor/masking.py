"""What of an option's value may be printed.

Masked are credentials in URLs, and the values of headers and parameters but for headers that are plainly harmless.
It rather hides too much. What was masked is told as well, so that the log can hide it in other lines, too.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from launcher import destinations

_HARMLESS_HEADERS = frozenset(
    "accept accept-charset accept-encoding accept-language cache-control content-type host origin user-agent"
    " x-forwarded-host x-forwarded-port x-forwarded-proto x-requested-with".split()
)
_HEADER_FLAGS = frozenset(("http-set-header", "http-allow-header", "http-disallow-header", "http-rewrite-header"))
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # would break a line of the log, or its encoding
_URL_USERINFO = re.compile(r"(://)([^\s/?#@]*(?:@[^\s/?#@]*)*)@")  # whatever scheme: looking takes quadratic time


def masked(name: str, text: str) -> tuple[str, tuple[str, ...]]:
    """The text of flag `name` as it may stand in a line of the log, and what of it must not."""
    shown, secrets = _masked(name, text)
    return _UNPRINTABLE.sub(lambda match: repr(match[0])[1:-1], shown), secrets


def without_credentials(text: str) -> str:
    """Any text, with *** in place of what stands before the @ of URLs in it."""
    return _URL_USERINFO.sub(r"\1***@", text)


def _masked(name: str, text: str) -> tuple[str, tuple[str, ...]]:
    if name == "http-basic-auth-filter":
        return "***", (text,)
    if name in _HEADER_FLAGS:
        header, colon, value = text.partition(":")
        if header.strip().lower() in _HARMLESS_HEADERS:
            return text, ()
        return (f"{header}: ***" if colon else "***"), (value.strip() if colon else text, *_credentials(value))
    if name == "http-set-param":
        parameter, equals, value = text.partition("=")
        return (f"{parameter}=***" if equals else "***"), (value if equals else text,)
    secrets = tuple(part for match in _URL_USERINFO.finditer(text) for part in _userinfo_parts(match[2]))
    if name in ("output-http", "output-http-elasticsearch"):
        return destinations.masked(text), secrets
    return without_credentials(text), secrets


def _credentials(value: str) -> tuple[str, ...]:
    """What follows the scheme in `Bearer abc` (RFC 9110 §11.4)."""
    _, _, rest = value.strip().partition(" ")
    return (rest.strip(),) if rest.strip() else ()


def _userinfo_parts(userinfo: str) -> tuple[str, ...]:
    _, _, password = userinfo.partition(":")
    return tuple(dict.fromkeys((userinfo, password, unquote(password)))) if password else (userinfo,)
