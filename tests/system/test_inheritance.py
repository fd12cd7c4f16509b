"""What the app is born with is what the launcher was given: environment, descriptors, limits, signals, niceness."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.system.launched import PATIENCE_SECONDS, SYSTEM_PATH, Product
from tests.system.machine import free_port

# The kernel's own account of a process that nothing has touched yet: a Python would already have ignored SIGPIPE.
# (A shell that starts something blocks signals for a moment, and may redirect its output: hence loop and subshells.)
PROBE = r"""
cat /proc/$$/environ >"$1/environ"
cat /proc/$$/cmdline >"$1/cmdline"
while IFS= read -r line; do echo "$line"; done </proc/$$/status >"$1/status"
cat /proc/$$/limits >"$1/limits"
cat /proc/$$/oom_score_adj /proc/$$/cgroup /proc/$$/coredump_filter >"$1/more"
cut -d' ' -f18,19,40,41 /proc/$$/stat >"$1/priorities"
(find /proc/$$/fd -type l -printf '%f %l\n' >"$1/descriptors")
(find /proc/$$/fdinfo -type f -printf '%f ' -exec grep flags: {} ';' >"$1/flags")
readlink /proc/$$/cwd /proc/$$/root >"$1/folders"
"""

# What a parent may have changed: the rest is set by this script, so that a launcher that resets things is seen.
PARENT = r"""
umask 027
ulimit -S -n 500
ulimit -S -c 0
trap '' HUP USR2
cd "$1"
shift
exec nice -n 3 "$@" 7<probe.sh 9>>kept
"""

CHANGING = ("State", "Pid", "PPid", "Tgid", "Ngid", "TracerPid", "NSpid", "NStgid", "NSpgid", "NSsid", "SigQ", "FDSize")
CHANGING_PATTERN = re.compile(rf"(?:{'|'.join(CHANGING)}|Vm\w+|Rss\w+|\w*ctxt\w*):.*\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inheritance")
    (folder / "probe.sh").write_text(PROBE)
    (folder / "input").write_text("a line for the app\n")
    return folder


def probe(folder: Path, name: str, words: list[str], environ: dict[str, str]) -> dict[str, str]:
    """Runs `words` and the probe behind them; each of the probe's findings by its name."""
    found = folder / name
    found.mkdir()
    command = [*words, "/bin/sh", "-c", PROBE, "probe", str(found)]
    with (
        open(folder / "input", "rb") as stdin,
        open(folder / "stdout", "ab") as stdout,
        open(folder / f"stderr-{name}", "ab") as stderr,
    ):
        done = subprocess.run(
            ["/bin/sh", "-c", PARENT, "parent", str(folder), *command],
            env=environ, stdin=stdin, stdout=stdout, stderr=stderr, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    log = (folder / f"stderr-{name}").read_text()
    assert done.returncode == 0, log
    findings = {path.name: path.read_text() for path in found.iterdir()}
    assert findings["environ"], "the probe found nothing"
    findings["status"] = CHANGING_PATTERN.sub("", findings["status"])
    own = re.compile(f"stderr-{name}|{re.escape(str(found))}")
    return {kind: own.sub("OWN", text) for kind, text in findings.items()}


@pytest.fixture(scope="module")
def environ(product: Product, folder: Path) -> dict[str, str]:
    return {
        "PATH": SYSTEM_PATH, "HOME": str(product.home), "PORT": str(free_port()), "LANG": "C", "EMPTY": "",
        "SHIV_ROOT": "/nonexistent", "SHIV_INTERPRETER": "1", "PYTHONPATH": "/nonexistent", "PYTHONHOME": "/nowhere",
        "PYTHONDONTWRITEBYTECODE": "1", "LD_LIBRARY_PATH": "/nowhere", "odd.name": "a 'quoted'\nvalue",
        "TRAFFIC_DUPLICATOR_TO": "http://127.0.0.1:1", "OLDPWD": "/", "PWD": str(folder),
    }  # fmt: skip


@pytest.fixture(scope="module")
def bare(folder: Path, environ: dict[str, str]) -> dict[str, str]:
    return probe(folder, "bare", [], environ)


def test_app_with_the_kill_switch_is_born_as_without_the_launcher(
    product: Product, folder: Path, environ: dict[str, str], bare: dict[str, str]
) -> None:
    environ = {**environ, "TRAFFIC_DUPLICATOR_ENABLED": "off"}
    found = probe(folder, "kill-switch", [str(product.file)], environ)
    found["environ"] = found["environ"].replace("TRAFFIC_DUPLICATOR_ENABLED=off\0", "")
    assert difference(found, bare) == ([], [])


def test_app_behind_the_relay_is_born_as_without_the_launcher_but_for_port(
    product: Product, folder: Path, environ: dict[str, str], bare: dict[str, str]
) -> None:
    found = probe(folder, "relay", [str(product.file)], environ)
    assert "unmirrored" not in (folder / "stderr-relay").read_text()
    app_port = re.search(r"PORT=(\d+)\0", found["environ"])
    assert app_port and app_port[1] != environ["PORT"]
    found["environ"] = found["environ"].replace(app_port[0], f"PORT={environ['PORT']}\0")
    assert difference(found, bare) == ([], [])


def difference(findings: dict[str, str], others: dict[str, str]) -> tuple[list[str], list[str]]:
    """What is found here only and there only; the order of variables and descriptors means nothing."""
    here, there = as_lines(findings), as_lines(others)
    return sorted(here - there), sorted(there - here)


def as_lines(findings: dict[str, str]) -> set[str]:
    separators = {"environ": "\0", "cmdline": "\0"}
    return {f"{kind}: {line}" for kind, text in findings.items() for line in text.split(separators.get(kind, "\n"))}


def test_the_probe_sees_what_the_parent_has_set(bare: dict[str, str]) -> None:
    """Else the comparisons above could not fail."""
    assert "SigIgn:\t0000000000000801" in bare["status"]  # HUP and USR2; not PIPE
    assert "Umask:\t0027" in bare["status"]
    assert re.search(r"Max open files +500 ", bare["limits"])
    assert bare["priorities"].split()[1] == "3"
    assert [line.split()[0] for line in sorted(bare["descriptors"].splitlines())] == ["0", "1", "2", "7", "9"]
    assert "LC_CTYPE" not in bare["environ"]


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&3 2>&-"])
def test_closed_standard_descriptors_stay_so_for_the_app_and_are_filled_in_the_launcher(
    product: Product, closed: str
) -> None:
    """Else a socket or a pipe of the launcher's would be number 2, and the log's lines would go there."""
    tells = ["sh", "-c", "readlink /proc/self/fd/2 || echo closed; readlink /proc/$PPID/fd/2"]
    prefix = ["sh", "-c", f'exec 3>&1; exec "$@" {closed}', "sh"]
    finished = product.run(["--to", "http://127.0.0.1:1"], tells, prefix=prefix, has_log=False)
    assert (finished.status, finished.output) == (0, "closed\n/dev/null\n")
