"""Tells two answers to the same request apart: status, chosen headers, body. Sets of (where, how), without values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from launcher.comparison.report import TOLD
from launcher.replay.comparison.answers import Answer
from launcher.replay.comparison.bodies import (
    BROKEN,
    Undecodable,
    decoded,
    is_ignored,
    is_json,
    json_differences,
)
from launcher.replay.comparison.headers import header, header_differences
from launcher.replay.comparison.json_values import MAX_PARSED_BYTES, parsed

Difference = tuple[str, str]
_LONG_HEADS_BYTES = 8 * 1024  # of two
_NOTHING: frozenset[Difference] = frozenset()
_SNIFFED = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*[{\[]")
_BROKEN = str(Undecodable(BROKEN))


@dataclass(frozen=True)
class Ignored:
    """What does not count: `$.a.path` of JSON with all below it, or a header's name."""

    paths: frozenset[str] = frozenset()
    headers: frozenset[bytes] = frozenset()

    @classmethod
    def of(cls, words: Sequence[str]) -> Ignored:
        return cls(
            frozenset(word for word in words if word.startswith("$")),
            frozenset(word.removeprefix("header:").lower().encode() for word in words if not word.startswith("$")),
        )


class Judgement(NamedTuple):
    """How one answer differs from another."""

    status: frozenset[Difference] | set[Difference] = _NOTHING
    headers: frozenset[Difference] | set[Difference] = _NOTHING
    body: frozenset[Difference] | set[Difference] = _NOTHING
    bodies: str = "none"  # how they were compared (TOLD), or why they could not be; `none`: the statuses differ

    def without_volatile(self) -> Judgement:
        """Without what looks new in every answer."""
        return self._replace(body={each for each in self.body if each[1] != "volatile"})


def fair(candidate: Judgement, noise: Judgement) -> tuple[Judgement, Judgement]:
    """What can be said of both, the candidate and the second baseline, so that each could have differed.

    A second baseline that did not answer as the first did says nothing of headers and bodies: what is noise there would
    be the candidate's alone.
    """
    if candidate.status or noise.status:
        return Judgement(status=candidate.status), Judgement(status=noise.status)
    if candidate.bodies in TOLD and noise.bodies in TOLD:
        return candidate, noise
    untold = candidate.bodies if candidate.bodies not in TOLD else noise.bodies
    return candidate._replace(body=_NOTHING, bodies=untold), noise._replace(body=_NOTHING, bodies=untold)


def are_long(baseline: Answer, other: Answer) -> bool:
    """Whether their heads take long to compare: of 64 KB each 30 ms."""
    return len(baseline.head) + len(other.head) > _LONG_HEADS_BYTES


def judge(
    baseline: Answer, other: Answer, ignored: Ignored, *, looks: bool = True, max_parsed_bytes: int = MAX_PARSED_BYTES
) -> Judgement:
    """How `other` differs from `baseline`. Unless it `looks`, bodies and long heads are not compared. No body is parsed
    that would take more than about `max_parsed_bytes`: twice that is held, since the baseline's stays for the next."""
    if baseline.status != other.status or not other.status:
        if baseline.label == other.label:
            return Judgement()
        return Judgement(status={("status", f"{baseline.label} → {other.label}")})
    has_heads = baseline.has_head and other.has_head
    compares = has_heads and (looks or not are_long(baseline, other))
    headers = header_differences(baseline.head, other.head, ignored.headers) if compares else _NOTHING
    if not looks:
        return Judgement(headers=headers, bodies="skipped")
    if baseline.is_whole and other.is_whole and baseline.has_same_body(other):
        return Judgement(headers=headers, bodies="equal")
    if not has_heads:
        return Judgement(bodies="no_room")
    body, how = _body_differences(baseline, other, max_parsed_bytes)
    if body and ignored.paths:
        body = {each for each in body if not is_ignored(each[0], ignored.paths)}
    return Judgement(headers=headers, body=body, bodies=how)


def _body_differences(baseline: Answer, other: Answer, max_parsed_bytes: int) -> tuple[set[Difference], str]:
    if not (baseline.is_whole and other.is_whole):
        if baseline.is_whole != other.is_whole:
            return {("body", "length")}, "bytes"
        return set(), "too_large"
    if baseline.body is None or other.body is None:  # there was no room to keep it
        if _may_mean_the_same(baseline) or _may_mean_the_same(other):
            return set(), "no_room"
        return {("body", "value")}, "bytes"
    one, two = _content(baseline), _content(other)
    if isinstance(one, str) or isinstance(two, str):
        if one == two or _BROKEN not in (one, two):
            return set(), "undecodable"
        return {("body", "sound → broken" if two == _BROKEN else "broken → sound")}, "bytes"
    if one == two:
        return set(), "equal"
    types = header(baseline.head, b"content-type"), header(other.head, b"content-type")
    if all(is_json(each) or not each for each in types) and _SNIFFED.match(one) and _SNIFFED.match(two):
        try:
            if baseline.value is None:  # parsed once, however many it is compared with
                baseline.value = parsed(one, max_parsed_bytes)
            return json_differences(baseline.value, parsed(two, max_parsed_bytes)), "json"
        except (ValueError, RecursionError):
            pass  # no JSON, or deeper than anything sensible
        except Undecodable:
            return set(), "too_large"
    return {("body", "value")}, "bytes"


def _may_mean_the_same(answer: Answer) -> bool:
    """Whether other bytes may say the same: packed otherwise, or JSON written otherwise."""
    coding = header(answer.head, b"content-encoding").lower()
    return coding not in (b"", b"identity") or is_json(header(answer.head, b"content-type"))


def _content(answer: Answer) -> bytes | str:
    """The body without its coding, or why that is not known."""
    body = answer.body
    assert body is not None
    try:
        return decoded(body, header(answer.head, b"content-encoding"))
    except Undecodable as error:
        return str(error)
