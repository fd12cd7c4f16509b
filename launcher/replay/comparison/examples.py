"""What an example says of a pair: how to find it in both logs, and sizes and digests; no values.

The digest's key is drawn anew for each run and kept by nobody: equal bodies can be told, but none can be guessed.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

from launcher.replay.comparison.answers import Answer
from launcher.replay.heads import Header

_REQUEST_ID, _TRACE = Header(b"x-request-id"), Header(b"traceparent")
_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")  # W3C Trace Context §3.2


class ExampleMaker:
    """Makes the examples of one run."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)

    def __call__(self, record: bytes, baseline: Answer, candidate: Answer) -> dict[str, Any]:
        """One pair."""
        header_line, _, request = record.partition(b"\n")
        words = header_line.split(b" ")
        head = request.partition(b"\r\n\r\n")[0] + b"\r\n"
        facts: dict[str, Any] = {"record": words[1].decode("ascii", "replace")[:64] if len(words) > 1 else ""}
        if len(words) > 2 and words[2].isdigit():
            facts["unix_ms"] = int(words[2][:19]) // 10**6
        if _ID.fullmatch(request_id := _REQUEST_ID.value(head)):
            facts["request_id"] = request_id.decode()
        if match := _TRACEPARENT.fullmatch(_TRACE.value(head)):
            facts["trace_id"] = match[1].decode()
        return {**facts, "baseline": self._about(baseline), "candidate": self._about(candidate)}

    def _about(self, answer: Answer) -> dict[str, Any]:
        facts: dict[str, Any] = {"answer": answer.label}
        if answer.status:
            digest = hashlib.blake2b(answer.digest(), key=self._key, digest_size=6).hexdigest()
            facts |= {"bytes": answer.length, "digest": digest, "us": answer.microseconds}
        return facts
