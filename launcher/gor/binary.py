"""Which gor there is: where one may be, which release it says it is, and what that release does wrong.

A gor is asked with `--help`, the only way to its version (it has no flag for that, and exits with 2 in any case). The
answer is bounded in time and size, because a file called `bin/gor` may be any program. 1.3.2 built from its tag calls
itself 1.3.0, so a fault holds for a whole minor release. The facts about the releases come from running them.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.gor.flags import GorOption, Release, for_release

OLDEST = (1, 0, 0)  # the first with --output-http-queue-len and -workers-min; its 0.x line has no bounds

_NAMES = ("gor", "goreplay")
_HELP_SECONDS = 5.0
_MAX_HELP_BYTES = 256 * 1024  # 1.3.2's is 13 KB
_VERSION = re.compile(rb"^Current Version:\s*v?((\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?\S*)", re.MULTILINE)
_MISSING_LIBRARY = re.compile(rb"error while loading shared libraries: ([^\s:]+)|Library not loaded: (\S+)")
_MISSING_SYMBOL = re.compile(rb"version [`']([^`']+)' not found")
_ELF_MACHINES = {3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64",
                 243: "riscv64", 258: "loongarch64"}  # fmt: skip
_MACH_O = (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


@dataclass(frozen=True)
class Gor:
    """A gor that can be used."""

    path: Path
    version: Release
    version_text: str  # as it says, without the v


@dataclass(frozen=True)
class Unusable:
    """A file that can't be used as a gor; `reason` completes the sentence "it can't be used: it ..."."""

    path: Path
    reason: str


def app_candidates(app_folder: Path) -> list[Path]:
    """The gors that the app brings along: the user's choice."""
    return [path for path in (app_folder / "bin" / "gor", app_folder / "vendor" / "gor") if path.is_file()]


def other_candidates(launcher_folder: Path, search_path: str) -> list[Path]:
    """The gors beside the launcher's file, then on PATH: `gor` and `goreplay` in each folder in turn."""
    beside = [launcher_folder / name for name in _NAMES]
    on_path = [Path(folder) / name for name in _NAMES for folder in search_path.split(os.pathsep) if folder]
    found = [path for path in beside if path.is_file()]
    found += [path for path in on_path if path.is_file() and os.access(path, os.X_OK)]
    return list(dict.fromkeys(found))


# ---- identification ------------------------------------------------------------------------------------------------


def identify(path: Path) -> Gor | Unusable:
    """Asks the file what it is; takes 20 ms for a gor, at most `_HELP_SECONDS` and a little for anything else."""
    try:
        # With a slash in it, or the words would be looked for on PATH.
        answer, status = _ask(os.path.join(os.curdir, path))
    except TimeoutError:
        return Unusable(path, f"did not answer --help within {_HELP_SECONDS:g} s")
    except OSError as error:
        return Unusable(path, _why_not_started(path, error))
    version = _VERSION.search(answer)
    if version is None:
        return Unusable(path, _why_no_version(answer, status))
    release = tuple(int(number or 0) for number in version.groups()[1:])
    text = version[1].decode("ascii", "backslashreplace")
    if release < OLDEST:
        return Unusable(path, f"is gor {text}: {'.'.join(map(str, OLDEST))} or later is needed")
    return Gor(path, release, text)


def _ask(program: str) -> tuple[bytes, int]:
    """What it says to --help, and its status. Raises OSError; TimeoutError is one, too."""
    process = subprocess.Popen(
        [program, "--help"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout as stdout:
        try:
            answer = _read(stdout.fileno(), time.monotonic() + _HELP_SECONDS)
            return answer, process.wait(0.2)
        except subprocess.TimeoutExpired:
            return answer, 0  # it said enough, and goes on
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)  # before it is waited for, so that its number is still its own
            except (ProcessLookupError, PermissionError):
                pass
            process.wait()


def _read(descriptor: int, deadline: float) -> bytes:
    answer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while len(answer) < _MAX_HELP_BYTES:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            chunk = os.read(descriptor, 64 * 1024)
            if not chunk:
                break
            answer += chunk
    return answer


def _why_no_version(answer: bytes, status: int) -> str:
    if match := _MISSING_LIBRARY.search(answer):
        library = (match[1] or match[2]).decode(errors="backslashreplace")
        advice = " (the Debian package libpcap0.8 has it)" if library == "libpcap.so.0.8" else ""
        return f"needs {library}, which is not installed{advice}"
    if match := _MISSING_SYMBOL.search(answer):
        return f"needs {match[1].decode(errors='backslashreplace')}, which this system's libraries don't have"
    if status < 0:
        return f"was ended by signal {-status} when it was asked for --help"
    return "is not gor: its --help names no version"


def _why_not_started(path: Path, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "names a loader or interpreter that is not installed" if path.exists() else "does not exist"
    if error.errno == errno.EACCES:
        return "is a directory" if path.is_dir() else "is not executable"
    if error.errno == errno.ENOEXEC:
        return _why_not_executable(path)
    return f"can't be started: {error.strerror}"


def _why_not_executable(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        return f"can't be read: {error.strerror}"
    if head[:4] == b"\x7fELF" and len(head) == 20:
        # ELF: byte 5 of the identification is the byte order, bytes 18 and 19 the machine
        number = int.from_bytes(head[18:20], "big" if head[5] == 2 else "little")
        built_for = _ELF_MACHINES.get(number, f"machine {number}")
    elif head[:4] in _MACH_O:
        built_for = "macOS"
    elif head[:2] == b"MZ":
        built_for = "Windows"
    else:
        return "is no program that this system can run"
    return f"is built for {built_for}, and this is {platform.system()} on {platform.machine()}"


# ---- what to expect of it ------------------------------------------------------------------------------------------


class _Options:
    """What the faults want to know of the options."""

    def __init__(self, options: Sequence[GorOption]) -> None:
        self._options = options

    def values(self, name: str) -> list[str]:
        return [option.value for option in self._options if option.name == name and option.value != "false"]

    def has_limited(self, *names: str) -> bool:
        return any("|" in value for name in names for value in self.values(name))

    def has_https(self) -> bool:
        return any(value.startswith("https:") for value in self.values("output-http"))

    def has_userinfo(self) -> bool:
        return any("@" in value for value in self.values("output-http"))


@dataclass(frozen=True)
class _Fault:
    """Something that releases from `since` to before `until` do wrong when the options concern it."""

    since: Release
    until: Release
    concerns: Callable[[_Options], object]
    text: str


_FAULTS = (
    _Fault((1, 0), (1, 3), lambda o: o.has_https() and not o.values("output-http-compatibility-mode"),
           "it never verifies certificates: whoever answers at the https address gets the copies"),
    _Fault((1, 0), (1, 3), lambda o: o.values("output-http") and not o.values("output-http-compatibility-mode"),
           "it loses copies at destinations that close their connections; --output-http-compatibility-mode cures that"),
    _Fault((1, 0), (1, 3), lambda o: o.values("output-http-compatibility-mode"),
           "with --output-http-compatibility-mode it waits without end for a destination that does not answer"),
    _Fault((1, 0), (1, 3), lambda o: o.has_limited("output-file", "output-tcp"),
           "a limit on --output-file or --output-tcp takes a whole processor"),
    _Fault((1, 3), (1, 4), lambda o: o.values("output-http") and not o.values("output-http-track-response"),
           "it opens a connection for nearly every copy"),
    _Fault((1, 3), (1, 4), lambda o: o.has_userinfo(),
           "it does not send a URL's user and password; --http-set-header with Authorization does"),
    _Fault((1, 0), (2, 0), lambda o: o.values("output-file"),
           "each start of it empties the last --output-file that it finds: a restart loses what was recorded there"),
    _Fault((1, 0), (9, 0), lambda o: len(o.values("output-http")) > 1 and o.values("output-http-track-response")
           and (o.values("output-file") or o.values("output-stdout")),
           "only the first --output-http's responses get into the other outputs: each has a gor of its own"),
)  # fmt: skip


def faults(gor: Gor, options: Sequence[GorOption]) -> list[str]:
    """What to warn of before this release gets these options: one line each."""
    known, unknown = for_release(options, gor.version)
    asked = _Options(known)
    name = f"gor {gor.version_text}"
    given = {option.name: option.value for option in options}
    told = [f"{option.where}: {name} has no --{option.name}: it is left out" for option in unknown]
    told += [
        f"{option.where}: {name} prints requests with --verbose {given['verbose']}, where clients could imitate its "
        f"own lines: it gets --verbose {option.value}"
        for option in known if option.name == "verbose" and option.value != given["verbose"]
    ]  # fmt: skip
    return told + [
        f"{name}: {fault.text}" for fault in _FAULTS
        if fault.since <= gor.version < fault.until and fault.concerns(asked)
    ]  # fmt: skip
