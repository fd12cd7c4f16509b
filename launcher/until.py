"""`--until TIME|DURATION`: when mirroring ends by itself. No clock of its own.

A time without a zone is UTC: the same variable must mean the same on every machine. A duration counts from the moment
when mirroring starts, so it starts anew with each start of the launcher; a time does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from launcher.options import quoted

# ISO 8601, extended format; RFC 3339 §5.6 allows the space.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d(?::\d\d)?)(?:([Zz])|([+-]\d\d)(?::?(\d\d))?)?", re.ASCII)
_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII
)
_UNIT_SECONDS = (86400, 3600, 60, 1)
_MAX_SECONDS = 3650 * 86400  # a slip, not a plan


@dataclass(frozen=True)
class Until:
    """One of `time` (Unix seconds) and `seconds` is not None."""

    text: str  # as it was given
    time: float | None = None
    seconds: float | None = None

    def seconds_left(self, now: float, mirrored_seconds: float) -> float:
        """At Unix time `now`, after so many seconds of mirroring; 0 or less when it is over."""
        if self.seconds is not None:
            return self.seconds - mirrored_seconds
        assert self.time is not None, "an Until is a time or a duration"
        return self.time - now


def until(text: str) -> Until:
    """2026-12-01T18:00Z, 2026-12-01T18:00:00+01:00 (no zone: UTC), or 30m, 2h, 1h30m, 90s, 1d, up to 3650d."""
    stripped = text.strip()
    if (match := _TIME.fullmatch(stripped)) is not None:
        return Until(stripped, time=_unix_time(match, text))
    match = _DURATION.fullmatch(stripped)
    seconds = sum(float(n or 0) * unit for n, unit in zip(match.groups(), _UNIT_SECONDS, strict=True)) if match else 0
    if not 0 < seconds <= _MAX_SECONDS:
        raise ValueError(_expected(text))
    return Until(stripped, seconds=seconds)


def shown_time(unix_seconds: float) -> str:
    """A time as the log has it, in UTC: 2026-12-01T18:00:00Z."""
    from datetime import datetime, timezone

    return datetime.fromtimestamp(unix_seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unix_time(match: re.Match[str], text: str) -> float:
    from datetime import datetime  # few give a time, and its import takes a millisecond

    day, clock, _, hours, minutes = match.groups()
    zone = f"{hours}:{minutes or '00'}" if hours else "+00:00"
    try:
        return datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp()
    except ValueError:
        raise ValueError(_expected(text)) from None


def _expected(text: str) -> str:
    return f"a time such as 2026-12-01T18:00Z, or a duration such as 30m, 2h or 1d, not {quoted(text)}"
