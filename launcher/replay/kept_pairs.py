"""`--keep-bodies N`: the first N pairs that differ, whole, in a file that only its owner may read. JSON lines.

Only for who asks by name: these are the requests and the answers as they are, with all that is secret in them.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from typing import Any

from launcher.log import log
from launcher.replay.comparison.answers import Answer

MAX_FILE_BYTES = 256 * 1024**2


class KeptPairs:
    """The file is made with the first pair. What fails is said once, and ends the keeping."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._room = MAX_FILE_BYTES
        self._fd = -1

    def __call__(self, record: bytes, baseline: Answer, candidate: Answer) -> None:
        """Keeps one pair, as long as there is room."""
        if not self._left:
            return
        header, _, request = record.partition(b"\n")
        facts = {
            "record": header.decode("ascii", "backslashreplace"), "request": _text(request),
            "baseline": _answer(baseline), "candidate": _answer(candidate),
        }  # fmt: skip
        line = json.dumps(facts).encode() + b"\n"
        self._left -= 1
        if len(line) > self._room:
            return
        self._room -= len(line)
        try:
            self._write(line)
        except OSError as error:
            self._left = 0
            log.tell(f"--keep-bodies: no more pairs can be kept: {error.strerror}")

    def _write(self, line: bytes) -> None:
        if self._fd < 0:
            self._fd, path = tempfile.mkstemp(prefix="traffic-duplicator-pairs-", suffix=".jsonl")  # 0600
            log.tell(f"--keep-bodies: pairs that differ are written to {path}")
        while line:
            line = line[os.write(self._fd, line) :]


def _answer(answer: Answer) -> dict[str, Any]:
    if not answer.status:
        return {"none": answer.outcome}
    body = answer.body
    return {"head": _text(answer.head), "body": None if body is None else _text(body)}


def _text(data: bytes) -> Any:
    """As text if it is some, else in base64."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
