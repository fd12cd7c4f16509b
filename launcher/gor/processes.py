"""One gor process for each `--output-http`, and one for all other outputs together: what each is started with.

In 1.3.x several --output-http all send to the last one (goreplay#1025), and in every release a stuck output stops
the others of the same process. With --split-output each output has a process, and the launcher deals the records out.
gor's bounds are set unless the user has set them: without them 1.2.0 has 10 workers, and 1.3.x opens a connection for
every copy that hangs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from launcher.gor.binary import Gor
from launcher.gor.flags import GorOption, for_release

_OTHER_OUTPUTS = ("output-stdout", "output-null", "output-file", "output-tcp", "output-binary")
_KAFKA = ("output-kafka-host", "output-kafka-topic")  # one output, if both are there
_OURS = ("split-output", "middleware")  # the launcher's and its helper's to do
_ONCE = ("http-pprof", "cpuprofile", "memprofile")  # a port, a file: for the first process only
_WORKERS = 50
_MOST_WORKERS_MIN = 1000  # 1.3.x takes no more
_QUEUE_LENGTH = 100
_TIMEOUT = "5s"
_HEAP_SHARE = 0.8  # of a process's memory; the rest is Go's own, the program's, and the helper's


@dataclass(frozen=True)
class GorProcess:
    """What one gor is started with, time and again."""

    shown: str  # its outputs, as they may be printed
    options: tuple[GorOption, ...]
    middleware: tuple[str, ...] = ()  # the user's program; it may hold secrets
    echoes_responses: bool = False  # responses have to come back through the helper, or no output gets them

    @property
    def writes_stdout(self) -> bool:
        """Whether what it writes to standard output is what the user asked for."""
        return any(option.name == "output-stdout" for option in self.options)

    def argv(self, gor: Gor, helper: Sequence[str]) -> list[str]:
        """`helper` is its command with the pipe's path. gor splits that at spaces and knows no quotes."""
        behind = self.middleware or (("--echo-responses",) if self.echoes_responses else ())
        command = [*helper, *behind]
        assert not any(" " in word for word in command), "gor would split the helper's command inside a word"
        # '|0' silences the dummy input, which is there because gor insists on an input, without any cost.
        words = [str(gor.path), "--input-dummy", "|0", "--middleware", " ".join(command)]
        return words + [word for option in self.options for word in option.argv()]


def environment(base: Mapping[str, str], memory_bytes: int) -> dict[str, str]:
    """gor's environment: Go collects garbage harder before the process reaches `memory_bytes`."""
    return {**base, "GOMEMLIMIT": str(int(memory_bytes * _HEAP_SHARE))}


def plan_processes(options: Sequence[GorOption], gor: Gor) -> list[GorProcess]:
    """The processes, those with an http output first. Options that this gor doesn't have are left out."""
    known, _ = for_release(options, gor.version)
    is_on = {option.name for option in known if option.value != "false"}
    shared = [option for option in known if not _is_output(option) and option.name not in _OURS]
    middleware = next((option.value for option in known if option.name == "middleware"), "")
    processes: list[GorProcess] = []
    for outputs in _grouped(known, is_split="split-output" in is_on, tracks="output-http-track-response" in is_on):
        own = shared if not processes else [option for option in shared if option.name not in _ONCE]
        has_http = any(option.name == "output-http" for option in outputs)
        processes.append(GorProcess(
            shown=" + ".join(_shown(option) for option in outputs),
            options=(*outputs, *own, *(_bounds(own) if has_http else ())),
            middleware=tuple(middleware.split()),
            echoes_responses="output-http-track-response" in is_on and has_http and len(outputs) > 1,
        ))  # fmt: skip
    return processes


def _is_output(option: GorOption) -> bool:
    return option.name == "output-http" or option.name in _OTHER_OUTPUTS or option.name in _KAFKA


def _grouped(options: Sequence[GorOption], *, is_split: bool, tracks: bool) -> list[list[GorOption]]:
    """The outputs of each process."""
    groups = [[option] for option in options if option.name == "output-http"]
    kafka = [option for option in options if option.name in _KAFKA]
    others = [[option] for option in options if option.name in _OTHER_OUTPUTS and option.value != "false"]
    others += [kafka] if kafka else []
    if groups and tracks:  # what comes back from a destination is seen by its own process only
        groups[0] += [option for other in others for option in other]
        return groups
    if is_split:
        return groups + others
    return groups + ([[option for other in others for option in other]] if others else [])


def _shown(option: GorOption) -> str:
    if option.name == "output-http":
        return option.shown
    name = option.name.removeprefix("output-")
    return name if option.value == "true" else f"{name} {option.shown}"


def _bounds(options: Sequence[GorOption]) -> list[GorOption]:
    """Bounds that the user has not set. Fewer workers-min than workers would leak sockets in 1.2.0."""
    given = {option.name: option.value for option in options}
    least = int(given.get("output-http-workers-min", 0))
    workers = int(given.get("output-http-workers", max(_WORKERS, least)))  # 0: any number
    bounds = {
        "output-http-workers": str(workers),
        "output-http-workers-min": str(min(workers or _WORKERS, _MOST_WORKERS_MIN)),
        "output-http-queue-len": str(_QUEUE_LENGTH),
        "output-http-timeout": _TIMEOUT,
    }
    return [GorOption(name, value, value, "default") for name, value in bounds.items() if name not in given]
