"""Which replayer sends the copies on: a gor, or the built-in one; and why.

`auto`: a gor that the app brings along is the user's choice; an option that the built-in replayer does not have takes
the gor beside the launcher, else the one on PATH; everything else goes to the built-in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.gor.binary import Gor, Unusable, app_candidates, faults, identify, other_candidates
from launcher.gor.flags import FLAGS, GorOption, is_output, needs_gor
from launcher.gor.processes import plan_processes
from launcher.options import ConfigurationError
from launcher.roles import output_roles


@dataclass(frozen=True)
class ReplayerChoice:
    """The replayer, and what to say about it."""

    gor: Gor | None  # None: the built-in one
    reason: str
    warnings: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        return f"gor {self.gor.version_text} at {self.gor.path}" if self.gor else "the built-in replayer"


@dataclass(frozen=True)
class Places:
    """Where a gor may be."""

    app_folder: Path
    launcher_folder: Path
    search_path: str


def choose_replayer(wanted: str, options: Sequence[GorOption], places: Places) -> ReplayerChoice:
    """Carries out `--replayer`. Raises ConfigurationError when what was insisted on can't be had."""
    if output_roles(options):
        return _choose_for_roles(wanted, options)
    if wanted == "builtin":
        if not_builtin := _only_gors(options):
            they = "it" if len(not_builtin) == 1 else "them"
            raise ConfigurationError(
                f"{_told(not_builtin, 'the built-in replayer has no')}: leave {they} out, or use --replayer gor"
            )
        return ReplayerChoice(None, "--replayer builtin")
    if wanted == "gor":
        return _insist([*app_candidates(places.app_folder), *_others(places)], options, "--replayer gor")
    if wanted != "auto":
        return _insist([Path(wanted)], options, f"--replayer {wanted}")
    return _choose_automatically(options, places)


def _choose_for_roles(wanted: str, options: Sequence[GorOption]) -> ReplayerChoice:
    if wanted not in ("auto", "builtin"):
        raise ConfigurationError(
            f"--replayer {wanted}: only the built-in replayer compares answers: leave it out, or the names before "
            "the destinations"
        )
    for option in _only_gors(options):
        raise ConfigurationError(
            f"{option.where}: --{option.name} needs a gor, which compares no answers: leave it out, or the names "
            "before the destinations"
        )
    return ReplayerChoice(None, "it compares answers")


def _insist(candidates: Sequence[Path], options: Sequence[GorOption], reason: str) -> ReplayerChoice:
    usable, unusable = _first_usable(candidates)
    if usable is None:
        found = "; ".join(unusable) or "no gor is in the app's bin or vendor, beside the launcher or on PATH"
        raise ConfigurationError(f"{reason}: {found}")
    return _chosen(usable, reason, options, unusable)


def _choose_automatically(options: Sequence[GorOption], places: Places) -> ReplayerChoice:
    usable, unusable = _first_usable(app_candidates(places.app_folder))
    if usable is not None:
        return _chosen(usable, "the app brings it along", options, unusable)
    if not_builtin := _only_gors(options):
        usable, more_unusable = _first_usable(_others(places))
        unusable += more_unusable
        if usable is None:
            found = "; ".join(unusable) or "none is in the app's bin or vendor, beside the launcher or on PATH"
            need, they = ("needs", "it") if len(not_builtin) == 1 else ("need", "them")
            raise ConfigurationError(f"{_told(not_builtin)} {need} a gor: {found}; leave {they} out, or add a gor")
        names = ", ".join(dict.fromkeys(f"--{option.name}" for option in not_builtin))
        return _chosen(usable, f"{names} {'is' if ',' not in names else 'are'} only gor's", options, unusable)
    return ReplayerChoice(None, "nothing here needs a gor", tuple(unusable))


def _chosen(gor: Gor, reason: str, options: Sequence[GorOption], unusable: Sequence[str]) -> ReplayerChoice:
    if any(map(is_output, options)) and not plan_processes(options, gor):
        raise ConfigurationError(f"gor {gor.version_text} at {gor.path} has none of the outputs that are asked for")
    return ReplayerChoice(gor, reason, (*unusable, *faults(gor, options)))


def _others(places: Places) -> list[Path]:
    return other_candidates(places.launcher_folder, places.search_path)


def _only_gors(options: Sequence[GorOption]) -> list[GorOption]:
    return [option for option in options if not FLAGS[option.name].builtin or needs_gor(option)]


def _told(options: Sequence[GorOption], of_them: str = "") -> str:
    """Every option with its place, all of one sentence: who mends the first should not meet the next one then."""
    (first, *others), blank = options, " " if of_them else ""
    more = "".join(f", --{option.name} ({option.where})" for option in others)
    return f"{first.where}: {of_them}{blank}--{first.name}{more}"


def _first_usable(candidates: Sequence[Path]) -> tuple[Gor | None, list[str]]:
    unusable: list[str] = []
    for path in candidates:
        gor = identify(path)
        if not isinstance(gor, Unusable):
            return gor, unusable
        unusable.append(f"{path} can't be used as gor: it {gor.reason}")
    return None, unusable
