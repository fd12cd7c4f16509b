"""Nobody reads what the launcher says, or its disk is full: the exit status is what it would have been."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.launched import PATIENCE_SECONDS, SYSTEM_PATH, Product
from tests.system.machine import free_port

ENDS = ("full", "unread")
MIRRORED = ("--to", "http://127.0.0.1:1")
DRY_RUN = ("--dry-run", "--offline", *MIRRORED, "true")


@contextmanager
def end(kind: str) -> Iterator[int]:
    """A descriptor that takes nothing: ENOSPC, or EPIPE and SIGPIPE."""
    if kind == "full":
        descriptor = os.open("/dev/full", os.O_WRONLY)
    else:
        read_end, descriptor = os.pipe()
        os.close(read_end)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def run(
    product: Product, words: tuple[str, ...], *, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE,
    environ: Mapping[str, str] | None = None, cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    base = {"PATH": SYSTEM_PATH, "HOME": str(product.home), "PORT": str(free_port())}
    return subprocess.run(
        [str(product.file), *words], env={**base, **(environ or {})}, cwd=cwd, stdin=subprocess.DEVNULL,
        stdout=stdout, stderr=stderr, text=True, timeout=PATIENCE_SECONDS, check=False,
    )  # fmt: skip


UNHEARD = {
    "wrong usage": (("--bogus", "true"), 2),
    "no command": ((), 2),
    "strict, without destination": (("--strict", "sh", "-c", "exit 7"), 2),
    "the replayer's wrong usage": (("--replay", "--bogus"), 2),
    "the replayer's missing input": (("--replay", "--input-file", "/nonexistent", "--output-null"), 1),
    "no launcher to ask": (("--status", "--pid", "4194304"), 1),
    "no such command": (("nosuch",), 127),
    "a folder": (("/tmp",), 126),
    "no interpreter": (("./script",), 127),
    "no such command, mirrored": ((*MIRRORED, "nosuch"), 127),
    "a folder, mirrored": ((*MIRRORED, "/tmp"), 126),
    "no interpreter, mirrored": ((*MIRRORED, "./script"), 127),
    "an app": (("sh", "-c", "exit 7"), 7),
    "an app, mirrored": ((*MIRRORED, "sh", "-c", "exit 7"), 7),
}


@pytest.mark.parametrize("kind", ENDS)
@pytest.mark.parametrize(("words", "status"), UNHEARD.values(), ids=UNHEARD)
def test_the_status_tells_what_standard_error_cant(
    product: Product, tmp_path: Path, kind: str, words: tuple[str, ...], status: int
) -> None:
    (tmp_path / "script").write_text("#!/nonexistent/ruby\n")
    (tmp_path / "script").chmod(0o755)
    with end(kind) as stderr:
        assert run(product, words, stderr=stderr, cwd=tmp_path).returncode == status


PRINTED = {
    "help": (("--help",), 0),
    "version": (("--version",), 0),
    "a plan": (DRY_RUN, 0),
    "a plan as JSON": (("--json", *DRY_RUN), 0),
    "a plan with a problem": (("--dry-run", "--offline", "--to", "http://127.0.0.1:1", "nosuch"), 1),
    "a build's review": (("--dry-run", "--build"), 0),
    "the replayer's help": (("--replay", "--help"), 0),
}


@pytest.mark.parametrize(("words", "status"), PRINTED.values(), ids=PRINTED)
def test_who_stops_reading_ends_it_quietly(
    product: Product, tmp_path: Path, words: tuple[str, ...], status: int
) -> None:
    with end("unread") as stdout:
        done = run(product, words, stdout=stdout, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.parametrize("words", [words for words, _ in PRINTED.values()], ids=PRINTED)
def test_a_full_disk_under_standard_output_is_told_in_a_sentence(
    product: Product, tmp_path: Path, words: tuple[str, ...]
) -> None:
    with end("full") as stdout:
        done = run(product, words, stdout=stdout, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        1, "Error: standard output can't be written: No space left on device\n"
    )  # fmt: skip


@pytest.mark.parametrize("kind", ENDS)
def test_neither_output_needs_to_take_anything(product: Product, kind: str) -> None:
    with end(kind) as taken:
        for words, status in ((("--help",), 1), (("--bogus",), 2), (("nosuch",), 127)):
            expected = 0 if (kind, words[0]) == ("unread", "--help") else status
            assert run(product, words, stdout=taken, stderr=taken).returncode == expected


DIGITS = "9" * 5000
UNLIMITED = {
    "--buffer": ("TRAFFIC_DUPLICATOR_BUFFER", "a size such as 16MiB, not '9999"),
    "--max-request": ("TRAFFIC_DUPLICATOR_MAX_REQUEST", "a size such as 16MiB, not '9999"),
    "--replayer-memory": ("TRAFFIC_DUPLICATOR_REPLAYER_MEMORY", "a size such as 16MiB, not '9999"),
    "--port": ("PORT", "a port from 1 to 65535, not '9999"),
    "--app-port": ("TRAFFIC_DUPLICATOR_APP_PORT", "a port from 1 to 65535, not '9999"),
    "--metrics-port": ("TRAFFIC_DUPLICATOR_METRICS_PORT", "a port from 1 to 65535, not '9999"),
    "--sample": ("TRAFFIC_DUPLICATOR_SAMPLE", "a percentage from 0 to 100, not '9999"),
    "--rate": ("TRAFFIC_DUPLICATOR_RATE", "a number a second, more than 0 and at most a million, not '9999"),
    "--max-cpu": ("TRAFFIC_DUPLICATOR_MAX_CPU", "a percentage of one core such as 50 or 200, 0, or none, not '9999"),
    "--until": ("TRAFFIC_DUPLICATOR_UNTIL", "or a duration such as 30m, 2h or 1d, not '9999"),
    "--drain-timeout": ("TRAFFIC_DUPLICATOR_DRAIN_TIMEOUT", "a number of seconds from 0 to 86400, not '9999"),
    "--keep-bodies": ("TRAFFIC_DUPLICATOR_KEEP_BODIES", "a number from 0 to 10000, not '9999"),
}


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize(("flag", "variable", "expected"), [(flag, *rest) for flag, rest in UNLIMITED.items()])
def test_a_number_without_end_is_refused_by_its_name(
    product: Product, flag: str, variable: str, expected: str, digits: int
) -> None:
    value = DIGITS[:digits] + ("d" if flag == "--until" else "")
    done = run(product, (flag, value, *MIRRORED, "echo", "ran"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {flag} must be ") and expected in done.stderr and len(done.stderr) < 400
    done = run(product, (*MIRRORED, "echo", "ran"), environ={variable: value})
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert f"{variable} must be " in done.stderr and expected in done.stderr, done.stderr
    assert "deploy it anew" not in done.stderr and len(done.stderr) < 1500


GOR_NUMBERS = {
    f"--output-http-workers {DIGITS}": "a whole number from 0 to 2147483647",
    f"--output-http-queue-len -{DIGITS}": "a whole number from ",
    f"--copy-buffer-size {DIGITS}": "a size as gor writes it",
    f"--copy-buffer-size {DIGITS}kb": "a size as gor writes it",
    f"--output-http-timeout {DIGITS}s": "a duration with its unit",
    f"--verbose {DIGITS}": "a whole number from 0 to 2147483647",
    f"--output-http http://h:{DIGITS}": "",
    f"--output-http 'http://h|{DIGITS}'": "an address whose limit",
    f"--http-header-limiter 'a:{DIGITS}%'": "a whole share from 0% to 100%",
    f"--http-header-limiter 'a:1/{DIGITS}'": "a whole share from 0% to 100%",
    f"--output-tcp h:{DIGITS}": "an aggregator's HOST:PORT",
}


@pytest.mark.parametrize(("line", "expected"), GOR_NUMBERS.items(), ids=[line[:28] for line in GOR_NUMBERS])
def test_a_number_without_end_in_gors_options_is_refused_by_its_place(
    product: Product, tmp_path: Path, line: str, expected: str
) -> None:
    (tmp_path / "gor.options").write_text(f"--output-http http://127.0.0.1:1\n{line}\n")
    done = run(product, ("--strict", "--gor-options", str(tmp_path / "gor.options"), "true"))
    assert done.returncode == 2
    assert f"Error: {tmp_path}/gor.options:2: " in done.stderr and expected in done.stderr, done.stderr[:600]
    assert "xceeds the limit" not in done.stderr


def test_a_number_without_end_may_stand_in_a_rewriters_template_and_in_no_proxy(
    product: Product, tmp_path: Path
) -> None:
    (tmp_path / "gor.options").write_text(
        f"--output-http http://127.0.0.1:1\n--http-rewrite-url '/a(.*):/b${DIGITS}'\n"
    )
    environ = {"http_proxy": "http://127.0.0.1:2", "no_proxy": f"127.0.0.1:{DIGITS},127.0.0.1:²"}
    words = ("--gor-options", str(tmp_path / "gor.options"), "--replayer", "builtin", "sh", "-c", "exit 7")
    done = run(product, words, environ=environ)
    assert done.returncode == 7, done.stderr
    assert "at=unmirrored" not in done.stderr and "at=replayer-" not in done.stderr


def test_a_socket_may_have_any_path(product: Product, tmp_path: Path) -> None:
    """Bytes that are no UTF-8: Linux has no encoding of paths."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.sock")
    words = ("--app-socket", path, *MIRRORED, "sh", "-c", "printf '%s' \"$0\" | od -An -tx1", "{socket}")
    done = run(product, words)
    assert done.returncode == 0 and "at=unmirrored" not in done.stderr, done.stderr
    assert done.stdout.replace("\n", "").replace(" ", "") == os.fsencode(path).hex()
    for json in ((), ("--json",)):
        done = run(product, ("--dry-run", "--offline", *json, *words))
        assert done.returncode == 0, done
    assert run(product, ("--app-socket", "/" + "ä" * 60, *words)).stderr == (
        "Error: --app-socket must be a path of at most 107 bytes\n"
    )
