"""How near a sticky sample comes to the share that was asked for: the table of docs/selection.md. No chance in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from launcher.sampling import place_of

USERS = 20_000
PERCENTS = (1, 10, 50)


def _digest(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


KEYS: dict[str, Callable[[int], str]] = {
    "numbers, 1 to 20,000": str,
    "user1@example.com to user20000@example.com": "user{}@example.com".format,
    "32 random hex digits, as of session IDs": lambda number: _digest(number)[:32],
    "UUIDs": lambda number: "-".join(_digest(number)[start:end] for start, end in
                                     ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))),
    "IPv4 addresses, random": lambda number: ".".join(str(byte) for byte in bytes.fromhex(_digest(number)[:8])),
    "IPv4 addresses, neighbours": lambda number: f"203.0.{number >> 8}.{number & 255}",
}  # fmt: skip


def shares(kind: str) -> list[float]:
    """How many percent of the users a sample of each of `PERCENTS` has."""
    places = [place_of(KEYS[kind](number).encode()) for number in range(1, USERS + 1)]
    return [sum(place < percent for place in places) / USERS * 100 for percent in PERCENTS]


def table() -> list[str]:
    """Rows of Markdown."""
    head = ["| 20,000 users, told apart by | " + " | ".join(f"{percent} %" for percent in PERCENTS) + " |"]
    rows = [f"| {kind} | " + " | ".join(f"{share:.2f} %" for share in shares(kind)) + " |" for kind in KEYS]
    return [*head, "|" + " --- |" * (len(PERCENTS) + 1), *rows]
