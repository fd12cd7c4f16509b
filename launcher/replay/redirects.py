"""The request that follows a redirect (RFC 9110 §15.4), if it stays where the copies are meant to go.

Only the destination's own scheme and the Host that was sent are followed: staging that redirects to production must
not lead the copies, and the credentials in them, there. gor 1.2.0 sends each redirect to the destination whatever
host it names; 1.3.2 follows it to any host.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from launcher.replay.requests import Request

_REQUEST_LINE = re.compile(rb"([^ ]+) (?:(https?://[^/?# ]*)(?=[/?# ]))?([^ ]*) ")
_HOST = re.compile(rb"\r\nhost:[ \t]*([^\r\n]*)", re.IGNORECASE)
_OF_BODY = re.compile(rb"\r\n(?:content-[a-z]+|transfer-encoding|trailer):[^\r\n]*(?=\r\n)", re.IGNORECASE)
_BLANKS = " \t"
_LOCATION = re.compile(r"[!-~]+")
_LONGEST = 16_000  # characters of both targets; urllib remembers what it has split
_SAME_METHOD = (307, 308)
FOLLOWED = (301, 302, 303, *_SAME_METHOD)


def redirected(request: Request, status: int, location: bytes, scheme: str) -> Request | None:
    """What is to be sent next; None if the redirect is not followed."""
    line = _REQUEST_LINE.match(request.head)
    host = _HOST.search(request.head)
    text = location.decode("latin-1")
    if status not in FOLLOWED or not line or not host or not _LOCATION.fullmatch(text):
        return None
    if len(line[3]) + len(text) > _LONGEST:
        return None
    own = f"{scheme}://{host[1].decode('latin-1').rstrip(_BLANKS)}"
    try:
        parts = urlsplit(urljoin(own + line[3].decode("latin-1"), text))
        is_own = parts.scheme == scheme and _authority(parts.netloc, scheme) == _authority(urlsplit(own).netloc, scheme)
    except ValueError:
        return None
    if not is_own:
        return None
    target = ((parts.path or "/") + (f"?{parts.query}" if parts.query else "")).encode("latin-1")
    return _with_target(request, (line[2] or b"") + target, line.end(), is_same=status in _SAME_METHOD)


def _with_target(request: Request, target: bytes, end: int, *, is_same: bool) -> Request:
    rest = request.head[end:]
    if is_same or request.method in (b"GET", b"HEAD"):
        return Request(request.method, request.is_http10, b"%s %s %s" % (request.method, target, rest), request.body)
    # As browsers and Go do: the answer to a POST is fetched, without what belonged to its body.
    return Request(b"GET", request.is_http10, b"GET %s %s" % (target, _OF_BODY.sub(b"", rest)), request.body[:0])


def _authority(netloc: str, scheme: str) -> str:
    return netloc.lower().removesuffix(":443" if scheme == "https" else ":80")
