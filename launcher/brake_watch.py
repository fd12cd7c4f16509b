"""Reads what the brakes go by every second, and pulls and releases them, until the time of --until has come.

A reading that fails releases its brake, and is told once: then what is copied is what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import trio

from launcher.brakes import CpuBrake, MemoryBrake, Pauses
from launcher.controls import Controls
from launcher.log import log
from launcher.memory import MemoryFiles
from launcher.processor_time import ProcessorTime

Look = Callable[[float], "str | None"]  # at a time: why the brake is pulled, or None

_LOOK_SECONDS = 1.0


def cpu_look(brake: CpuBrake, leaders: Callable[[], Collection[int]]) -> Look:
    """`leaders` gives the process groups that count at the moment."""
    processor_time = ProcessorTime()
    return lambda now: brake.look(now, processor_time.look(leaders()))


def memory_look(brake: MemoryBrake, files: MemoryFiles) -> Look:
    def look(now: float) -> str | None:
        usage = files.usage()
        return brake.look(now, usage.used_bytes, usage.limit_bytes)

    return look


class BrakeWatch:
    """The brakes of one launcher, by name."""

    def __init__(self, controls: Controls, looks: Mapping[str, Look], *, look_seconds: float = _LOOK_SECONDS) -> None:
        self._controls = controls
        self._looks = looks
        self._look_seconds = look_seconds
        self._pulled_at: dict[str, float] = {}
        self._failed: set[str] = set()

    async def run(self, seconds_left: Callable[[], float]) -> None:
        """Returns when no seconds are left; that is asked before each look."""
        while (left := seconds_left()) > 0:
            for name, look in self._looks.items():
                now = trio.current_time()
                self._set(name, self._reason(name, look, now), now)
            await trio.sleep(min(self._look_seconds, left))

    def _reason(self, name: str, look: Look, now: float) -> str | None:
        try:
            return look(now)
        except Exception as error:  # noqa: BLE001 - no /proc, or a defect of ours: neither is the app's business
            if name not in self._failed:
                self._failed.add(name)
                log("brake-failed", level="warning", brake=name, error=str(error) or repr(error))
            return None

    def _set(self, name: str, reason: str | None, now: float) -> None:
        if reason is not None and name not in self._pulled_at:
            self._pulled_at[name] = now
            self._controls.pause(name, reason)
            log("paused", level="warning", brake=name, reason=reason)
        elif reason is None and name in self._pulled_at:
            self._controls.resume(name)
            seconds = now - self._pulled_at.pop(name)
            log(
                "resumed", brake=name, paused_seconds=round(seconds, 1),
                still_paused_by=" ".join(self._controls.pauses) or None,
            )  # fmt: skip


def new_brake_watch(
    controls: Controls, max_cpu_percent: float | None, leaders: Callable[[], Collection[int]]
) -> BrakeWatch:
    """The brakes as the launcher has them; without a percentage there is none for processor time."""
    looks = {MemoryBrake.name: memory_look(MemoryBrake(Pauses()), MemoryFiles())}
    if max_cpu_percent is not None:
        looks[CpuBrake.name] = cpu_look(CpuBrake(max_cpu_percent, Pauses()), leaders)
    return BrakeWatch(controls, looks)
