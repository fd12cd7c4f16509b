"""The names before destinations, `candidate=URL` and `baseline=URL`: who is compared with whom.

`baseline` is what the others are held to; `baseline2`, a second destination of the same version, shows what differs
anyway. Every other name is a candidate's, and there may be several. Destinations without a name are not compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from launcher.gor.flags import GorOption

BASELINE, NOISE_BASELINE = "baseline", "baseline2"
RECORDED = "recorded"  # answers in a recording, which are the baseline if no destination is


@dataclass(frozen=True)
class Roles:
    """Who is compared. Without a baseline each candidate is shown alone."""

    baseline: str | None
    noise_baseline: str | None
    candidates: tuple[str, ...]


def roles_of(names: Sequence[str]) -> Roles:
    """The roles among the outputs' names, in their order; "" is an output without one."""
    return Roles(
        BASELINE if BASELINE in names else RECORDED if RECORDED in names else None,
        NOISE_BASELINE if NOISE_BASELINE in names else None,
        tuple(name for name in names if name not in ("", BASELINE, NOISE_BASELINE, RECORDED)),
    )


def output_roles(options: Iterable[GorOption]) -> tuple[str, ...]:
    """Of each `--output-http`, in order, its role or ""; () if none has one."""
    names = tuple(option.role for option in options if option.name == "output-http")
    return names if any(names) else ()


def role_problems(options: Sequence[GorOption]) -> Iterator[str]:
    """What makes a comparison impossible, in words."""
    names = output_roles(options)
    if not names:
        return
    for name, count in Counter(filter(None, names)).items():
        if count > 1:
            yield f"{count} destinations are called {name}=: give each a name of its own, such as {name}-b="
    if RECORDED in names:
        yield f"no destination can be called {RECORDED}=: that is what answers in a recording are called"
    roles = roles_of(names)
    if not roles.candidates:
        yield "there is a baseline but no candidate to hold to it: add --to candidate=URL"
    if roles.noise_baseline and not roles.baseline:
        yield "baseline2= shows what differs between two baselines: add --to baseline=URL"
    if any(option.name == "split-output" and option.value == "true" for option in options):
        yield "--split-output sends each request to one destination only, so their answers can't be compared"


def role_warnings(options: Iterable[GorOption]) -> Iterator[str]:
    """What makes a comparison worse than it could be."""
    for option in options:
        if option.role and "|" in option.value:
            yield (
                f"{option.where}: {option.shown} draws its own share of the requests, so few are compared: "
                "use --sample PERCENT, which holds for all"
            )
