"""Routes, learned from the requests' paths: `GET /users/{id}/orders`. Bounded in number.

A part of a path that looks like a number, an UUID, a digest or anything but a word is a parameter at once. Where more
than MAX_WORDS words have been seen at one place they are names of things, not routes, and become one parameter, too:
then `is_changed` says that names given before have changed: `settle` tells how.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

MAX_ENDPOINTS = 200  # with more, the rest is OTHERS
MAX_WORDS = 40  # at one place of a path
MAX_DEPTH = 8  # parts of a path; the rest is one
OTHERS = "(others)"
_MAX_KNOWN = 4096  # targets whose route is remembered,
_LONGEST_KNOWN = 256  # of so many bytes at most, with the method

_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_UUID = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_HEX = re.compile(r"(?=.*[0-9])[0-9a-fA-F]{8,}")
_WORD = re.compile(r"(?:[A-Za-z][A-Za-z_]*(?:-[A-Za-z_]+){0,3}|v[0-9]{1,3}(?:\.[0-9]{1,3})?)(?:\.[A-Za-z]{1,5}[0-9]?)?")
_LONGEST_WORD = 32
_METHOD = re.compile(rb"[A-Z]{1,16}")


def shape_of(path: str) -> str:
    """The path with its parameters named by what they look like, without its query."""
    path = path.partition("?")[0].partition("#")[0]
    parts = path.split("/", MAX_DEPTH + 1)
    if len(parts) > MAX_DEPTH + 1:
        parts = [*parts[:MAX_DEPTH], "..."]
    return "/".join(map(_part, parts))


def _part(text: str) -> str:
    if "%" in text:
        text = unquote(text, errors="replace")
    if not text or text == "...":
        return text
    if _NUMBER.fullmatch(text):
        return "{id}"
    if _UUID.fullmatch(text):
        return "{uuid}"
    if _HEX.fullmatch(text):
        return "{hex}"
    return text if len(text) <= _LONGEST_WORD and _WORD.fullmatch(text) else "{value}"


class Endpoints:
    """Learns routes, and names each request's."""

    def __init__(self) -> None:
        self._words: dict[str, set[str]] = {}  # by the route before them
        self._collapsed: set[str] = set()  # routes behind which any word is a parameter
        self._known: dict[tuple[bytes, bytes], str] = {}
        self.names: set[str] = set()
        self.is_changed = False

    def name(self, method: bytes, target: bytes) -> str:
        """The endpoint of a request: its method and route."""
        known = self._known.get((method, target))
        if known is not None:
            return known
        shown = method.decode() if _METHOD.fullmatch(method) else "?"
        found = f"{shown} {self._route(shape_of(target.decode('ascii', 'replace')))}"
        if found not in self.names:
            if len(self.names) >= MAX_ENDPOINTS:
                return OTHERS
            self.names.add(found)
        if len(method) + len(target) <= _LONGEST_KNOWN:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[method, target] = found
        return found

    def canonical(self, name: str) -> str:
        """What is called now what was called so before."""
        if name == OTHERS:
            return name
        method, _, route = name.partition(" ")
        return f"{method} {self._route(route)}"

    def settle(self) -> dict[str, str]:
        """How the names that were given are called now. Looking at them again may itself change some once more."""
        renamed = {name: name for name in self.names}
        while self.is_changed:
            self.is_changed = False
            renamed = {before: self.canonical(after) for before, after in renamed.items()}
        self.names = set(renamed.values())
        self._known.clear()
        return renamed

    def _route(self, shape: str) -> str:
        parts = shape.split("/")
        for place, part in enumerate(parts):
            if not part or part.startswith("{") or part == "...":
                continue
            if not self._is_word("/".join(parts[:place]), part):
                parts[place] = "{value}"
        return "/".join(parts)

    def _is_word(self, before: str, part: str) -> bool:
        """Whether it is one of few words there, and no name of a thing. Where there is no room to learn, it is none."""
        if before in self._collapsed:
            return False
        words = self._words.get(before)
        if words is None:
            if len(self._words) + len(self._collapsed) >= MAX_ENDPOINTS * MAX_DEPTH:
                return False
            words = self._words[before] = set()
        words.add(part)
        if len(words) <= MAX_WORDS:
            return True
        self._collapse(before)
        return False

    def _collapse(self, before: str) -> None:
        """What was learned of longer routes is of routes that are no more."""
        self._words = {each: words for each, words in self._words.items() if not _is_at(each, before)}
        self._collapsed = {each for each in self._collapsed if not _is_at(each, before)} | {before}
        self._known.clear()
        self.is_changed = True


def _is_at(route: str, before: str) -> bool:
    return route == before or route.startswith(f"{before}/")
