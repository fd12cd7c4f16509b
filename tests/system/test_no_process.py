"""Where the user may have no further process (RLIMIT_NPROC), nothing can be forked: the word becomes the app itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.needs import NAMESPACES, SHELLS, unavailable
from tests.system.plain_run import PATIENCE_SECONDS, SYSTEM_PATH
from tests.system.slug import SYSTEM_PYTHON, lay_out

NOBODY = "61235"  # a user without a process of its own
NO_PROCESS = "no process can be started"
SAY_WORDS = ["sh", "-c", 'printf "%s|" "PORT=$PORT" "$@"; exit 7', "sh", "{port}", "two words"]
WRAPPER = "app/.traffic-duplicator/bin/start-traffic-duplicator"
SAID = "PORT=5000|5000|two words|"


@pytest.fixture(scope="module")
def folder(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both forms, where another user can read them."""
    if os.geteuid():
        unavailable("it needs root, to become another user", NAMESPACES)
    folder = tmp_path_factory.mktemp("no-process")
    shutil.copy(pyz, folder / "file.pyz")
    (folder / "file.pyz").chmod(0o755)
    lay_out(pyz, folder / "app")
    for path in (folder, *folder.parents):
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    return folder


def run_alone(*words: str | Path, processes: int = 1, **environ: str) -> subprocess.CompletedProcess[str]:
    """As a user with so many processes, the word's own included."""
    prefix = [
        "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--",
        "prlimit", f"--nproc={processes}:{processes}", "--",
    ]  # fmt: skip
    env = {"PATH": SYSTEM_PATH, "HOME": "/nonexistent", "PORT": "5000", **environ}
    return subprocess.run(
        [*prefix, *map(str, words)], env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )


@pytest.mark.parametrize(("shell", "form"), [
    ("dash", "file.pyz"), ("dash", WRAPPER), ("dash", "app/bin/start-traffic-duplicator"), ("busybox sh", "file.pyz"),
    ("busybox sh", WRAPPER), ("bash", WRAPPER),
])  # fmt: skip
def test_the_word_becomes_the_app_without_another_process(folder: Path, shell: str, form: str) -> None:
    words = shell.split()
    path = shutil.which(words[0])
    if path is None:
        unavailable(f"this machine has no {words[0]}", SHELLS)
    result = run_alone(path, *words[1:], folder / form, "--to", "http://127.0.0.1:9", *SAY_WORDS)
    assert (result.returncode, result.stdout) == (7, SAID), result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("traffic-duplicator ")]
    assert line.startswith("traffic-duplicator at=unmirrored level=error ") and NO_PROCESS in line


def test_switched_off_too(folder: Path) -> None:
    result = run_alone(folder / "file.pyz", *SAY_WORDS, TRAFFIC_DUPLICATOR_ENABLED="false")
    assert (result.returncode, result.stdout) == (7, SAID), result.stderr
    assert 'at=unmirrored level=info reason="TRAFFIC_DUPLICATOR_ENABLED is false"' in result.stderr


def test_what_is_refused_without_python_is_refused_here(folder: Path) -> None:
    refused = run_alone(folder / "file.pyz", "--strict", *SAY_WORDS)
    assert (refused.returncode, refused.stdout) == (2, ""), refused.stderr
    assert f"Error: {NO_PROCESS}" in refused.stderr
    refused = run_alone(folder / "file.pyz", "--app-socket", "/nonexistent/app", *SAY_WORDS)
    assert (refused.returncode, refused.stdout) == (1, ""), refused.stderr


def test_a_command_that_is_not_there_has_a_shells_status(folder: Path) -> None:
    assert run_alone(folder / "file.pyz", "no-such-program-anywhere").returncode == 127


def test_python_itself_becomes_the_app_where_it_can_start_none(folder: Path) -> None:
    result = run_alone(SYSTEM_PYTHON, "-I", "-S", folder / "file.pyz", "--to", "http://127.0.0.1:9", *SAY_WORDS)
    assert (result.returncode, result.stdout) == (7, SAID), result.stderr
    assert f'level=error reason="{NO_PROCESS} for the app' in result.stderr
