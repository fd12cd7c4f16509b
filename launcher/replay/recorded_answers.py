"""Answers in a recording (gor's types 2 and 3), as the baseline of a comparison."""

from __future__ import annotations

from launcher.replay.comparison.witness import Witness
from launcher.replay.outcomes import Ended, status_class
from launcher.replay.responses import MAX_COMPARED_BODY_BYTES, Response, ResponseError, ResponseReader


def take_recorded(witness: Witness, record: bytes) -> None:
    """One record: its answer is compared with those to the request of the same identity. Raises nothing."""
    answer = witness.new_answer()
    if answer is None:
        return
    header, _, response = record.partition(b"\n")
    reader = ResponseReader(b"GET", max_body_bytes=MAX_COMPARED_BODY_BYTES, listener=answer)
    try:
        found = (reader.receive(response) if response else None) or reader.receive_eof()
    except ResponseError as error:
        witness.ended(record, Ended("protocol", str(error)), answer)
        return
    if found is None and answer.head and not answer.length:
        found = Response(int(answer.head[9:12]), False)  # to a HEAD: its length is that of a body that did not come
    if found is None:
        witness.ended(record, Ended("reset", "the recorded answer is cut short"), answer)
        return
    witness.ended(record, Ended(status_class(found.status), response=found), answer, _seconds(header))


def _seconds(header: bytes) -> float:
    """gor's latency, in nanoseconds, behind type, identity and time."""
    words = header.split(b" ")
    text = words[3] if len(words) > 3 else b""
    return int(text[:19]) / 1e9 if text.isdigit() else 0.0
