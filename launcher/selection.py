"""Which requests are copied, as somebody asks for it: by method, by path, by whose they are. Pure.

A path is matched as the client sent it, nothing decoded, and without its query: what `--not-path` leaves out stays out
whatever query it comes with. Of a target in absolute form only the path counts, `/` if there is none. Targets without
a path (`*`, and the host and port of a CONNECT) are matched as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from launcher.gor.values import regular_expression
from launcher.http_grammar import METHODS
from launcher.options import header_name, quoted

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # RFC 9110 §9.2.1 has TRACE, too, which hardly an app answers

_KINDS = ("cookie", "header", "client")
_ORIGIN = re.compile(rb"[A-Za-z]+://[^/?]*")  # RFC 9112 §3.2.2; the framer lets no user information pass


@dataclass(frozen=True)
class SampleBy:
    """What tells one user from another: a cookie or a header by its `name`, or the client's address."""

    kind: str  # cookie, header or client
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What does not change while the launcher runs; the share and the rate do, and are in `Controls`."""

    methods: tuple[str, ...] = ()  # none: all
    paths: tuple[str, ...] = ()  # Go's regular expressions; none: all
    not_paths: tuple[str, ...] = ()
    sample_by: SampleBy | None = None


ALL = Selection()

MOVES_A_SECOND = 20_000  # of the expressions' machines, 2 to 7 us each: see `Filter`
_MOVES_AT_ONCE = 500


# ---- converters: a ValueError completes the sentence "--flag must be ..." ------------------------------------------


def parse_methods(text: str) -> tuple[str, ...]:
    """`safe`, or methods with commas or spaces between them, in any case, or both; none for `all`."""
    words = text.replace(",", " ").upper().split()
    if words == ["ALL"]:
        return ()
    methods = [method for word in words for method in (SAFE_METHODS if word == "SAFE" else (word,))]
    if not methods or not all(method.encode("ascii", "replace") in METHODS for method in methods):
        raise ValueError(f"safe, all, or methods of HTTP's such as GET,HEAD,POST, not {quoted(text)}")
    return tuple(dict.fromkeys(methods))


def parse_path(text: str) -> str:
    """A regular expression of Go's. An empty one, which fits every path, is rather a variable that is not set."""
    if not text:
        raise ValueError("a regular expression that is not empty, such as ^/api/")
    regular_expression(text, for_gor=False)
    return text


def parse_sample_by(text: str) -> SampleBy:
    """`cookie:NAME`, `header:NAME` or `client`."""
    kind, colon, name = text.strip().partition(":")
    if kind not in _KINDS or bool(colon) != (kind != "client"):
        raise ValueError(f"cookie:NAME, header:NAME or client, not {quoted(text)}")
    if not colon:
        return SampleBy(kind)
    try:
        return SampleBy(kind, header_name(name))  # RFC 6265 §4.1.1: a cookie's name is a token, too
    except ValueError:
        raise ValueError(f"{kind}: and a {kind}'s name behind it, not {quoted(text)}") from None


# ---- judging -------------------------------------------------------------------------------------------------------


def path_of(target: bytes) -> bytes:
    """The path of a request's target, as it is matched."""
    origin = _ORIGIN.match(target)
    path = target[origin.end() if origin else 0 :].partition(b"?")[0]
    return path or b"/"


def make_filter(selection: Selection, clock: Callable[[], float]) -> Filter | None:
    """Judges methods and targets; None if all are wanted. `clock` tells seconds."""
    if not (selection.methods or selection.paths or selection.not_paths):
        return None
    return Filter(selection, clock)


class Filter:
    """Says of a method and a target whether they are wanted; None if it may not spend the time to find out.

    Time is linear in the target, but what the expressions have not met yet takes some microseconds a character, in
    which no client is served: clients could fill all time with that. Three milliseconds at once, and a tenth of a
    processor, is what they get; what the expressions know by then costs nothing of it.
    """

    def __init__(self, selection: Selection, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._methods = frozenset(method.encode() for method in selection.methods) or METHODS
        if selection.paths or selection.not_paths:
            from launcher.go_regexp import Allowance  # it takes some milliseconds, and few use it

            self._allowance = Allowance(per_second=MOVES_A_SECOND, most=_MOVES_AT_ONCE)
            self._wanted, self._unwanted = map(self._compiled, (selection.paths, selection.not_paths))
        self._sees_paths = bool(selection.paths or selection.not_paths)

    def _compiled(self, patterns: Sequence[str]) -> list[Callable[[bytes], bool]]:
        from launcher.go_regexp import compile_go

        return [compile_go(pattern, self._allowance).is_match for pattern in patterns]

    def __call__(self, method: bytes, target: bytes) -> bool | None:
        if method not in self._methods:
            return False
        if not self._sees_paths:
            return True
        path = path_of(target)
        self._allowance.fill(self._clock())
        is_wanted = _is_found(self._wanted, path) if self._wanted else True
        if is_wanted is False:
            return False
        is_unwanted = _is_found(self._unwanted, path)
        if is_unwanted:
            return False
        return None if is_wanted is None or is_unwanted is None else True

    @property
    def work(self) -> int:
        """The moves that were spent so far."""
        return self._allowance.work


def _is_found(searches: Sequence[Callable[[bytes], bool]], path: bytes) -> bool | None:
    """Whether one of them finds something in it; None if that would take too long."""
    from launcher.go_regexp import TooCostly

    found: bool | None = False
    for search in searches:
        try:
            if search(path):
                return True
        except TooCostly:
            found = None
    return found


# ---- for people ----------------------------------------------------------------------------------------------------


def explained(selection: Selection, *, sample_percent: float = 100, rate_per_second: float | None = None) -> str:
    """What is copied, in words: `10 % of GET and HEAD requests to paths with ^/api, at most 50 a second`."""
    if sample_percent <= 0:
        return "no requests: the sample is 0 %"
    share = "all" if sample_percent >= 100 else f"{sample_percent:g} % of"
    text = " ".join([share, *([listed(selection.methods)] if selection.methods else []), "requests"])
    if selection.paths:
        text += f" to paths with {listed(selection.paths, 'or')}"
    if selection.not_paths:
        text += ", but not" if selection.paths else " but those to paths"
        text += f" with {listed(selection.not_paths, 'or')}"
    if selection.sample_by is not None and sample_percent < 100:
        text += f", always of the same users by {_explained_key(selection.sample_by)}"
    if rate_per_second is not None:
        text += f", at most {rate_per_second:g} a second"
    return text


def _explained_key(by: SampleBy) -> str:
    return f"the {by.kind} {by.name}" if by.name else "the client's address"


def listed(words: Sequence[str], conjunction: str = "and") -> str:
    """`GET`, `GET and HEAD`, `GET, HEAD and POST`."""
    *most, last = words
    return f"{', '.join(most)} {conjunction} {last}" if most else last
