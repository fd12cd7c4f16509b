"""`--dry-run` of the built file, before real listeners: a terminal, a log, programs that are in the way."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.system.launched import Product
from tests.system.machine import free_port, listener

ROOT = Path(__file__).parent.parent.parent
OFFLINE = ["--dry-run", "--offline", "--to", "https://next.example.com"]
NOBODY = ["--dry-run", "--to", "http://127.0.0.1:1"]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def hanging() -> Iterator[int]:
    """A listener that says nothing: its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@contextlib.contextmanager
def secured(cert: trustme.LeafCert) -> Iterator[int]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    cert.configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    sock, _ = server.accept()
                    with contextlib.closing(sock), context.wrap_socket(sock, server_side=True) as tls:
                        tls.recv(1)
                except ssl.SSLError:
                    continue  # a client that does not trust us
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_whoever_has_the_port_is_named(product: Product) -> None:
    port = free_port()
    program = f"import socket; s = socket.create_server(('', {port})); print('', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        finished = product.run([*OFFLINE, "--host", "0.0.0.0"], ["true"], port=port)
        process.communicate(b"\n")
    assert finished.status == 1
    assert f"TAKEN 0.0.0.0:{port}, by pid {process.pid} ({Path(sys.executable).name} -c " in words(finished.output)
    assert f"1. port {port} of 0.0.0.0 can't be listened on: Address already in use by pid {process.pid}" in words(
        finished.output
    )
    assert finished.output.endswith("Result: 1 problem; the launcher would run the app unmirrored\n")


def test_an_app_s_port_that_is_taken_is_a_problem(product: Product) -> None:
    port = free_port()
    with listener(port + 1):
        finished = product.run([*OFFLINE, "--app-port", str(port + 1)], ["true"], port=port)
    assert finished.status == 1
    assert f"--app-port {port + 1} is taken by pid {os.getpid()}" in words(finished.output)


def test_certificates_are_judged_as_the_replayer_does(product: Product, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with secured(authority.issue_cert("localhost")) as port:
        to = ["--dry-run", "--to", f"https://localhost:{port}"]
        trusting = product.run(to, ["true"], environ={"SSL_CERT_FILE": str(tmp_path / "ca.pem")})
        doubting = product.run(to, ["true"])
        blind = product.run([*to, "--gor-options", str(tmp_path / "options")], ["true"]) if (
            (tmp_path / "options").write_text("--output-http-skip-verify")
        ) else None
    assert trusting.status == 0, trusting
    assert re.search(r"certificate +ok +[\d.]+ ms, TLSv1\.3, valid until", trusting.output)
    assert doubting.status == 1
    assert "the certificate is not valid: unable to get local issuer certificate" in words(doubting.output)
    assert blind is not None and blind.status == 0
    assert "but nobody looks at it" in words(blind.output)
    assert "no certificate is verified" in words(blind.output)


def test_destinations_that_hang_are_waited_for_together_and_not_for_long(product: Product, hanging: int) -> None:
    to = [word for _ in range(10) for word in ("--to", f"https://127.0.0.1:{hanging}")]
    started = time.monotonic()
    finished = product.run(["--dry-run", *to], ["true"])
    assert time.monotonic() - started < 30  # 6 s when nothing else runs; one after the other a minute
    assert finished.status == 1
    assert finished.output.count("silent for ") == 20  # beside each destination, and among the problems
    assert "10 problems; copies would not get where they should" in finished.output


def test_it_starts_nothing_and_leaves_nothing(product: Product, tmp_path: Path) -> None:
    finished = product.run(NOBODY, ["touch", str(tmp_path / "made")], cwd=tmp_path)
    assert finished.status == 1
    assert os.listdir(tmp_path) == []


def on_a_terminal(argv: list[str], environ: dict[str, str]) -> str:
    """What a terminal of 80 columns gets."""
    main, other = pty.openpty()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=other, stderr=other, env=environ) as process:
        os.close(other)
        got = b""
        while select.select([main], [], [], 60)[0]:
            try:
                data = os.read(main, 65536)
            except OSError:  # EIO: nobody has the other end any more
                break
            if not data:
                break
            got += data
    os.close(main)
    assert process.returncode == 0, got
    return got.decode()


@pytest.mark.parametrize(
    ("environ", "is_coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({}, False),
     ({"TERM": "xterm", "NO_COLOR": ""}, True)],
)  # fmt: skip
def test_a_terminal_gets_colours_unless_it_has_none_or_nobody_wants_them(
    product: Product, environ: dict[str, str], is_coloured: bool
) -> None:
    base = {"PATH": "/usr/bin:/bin", "HOME": str(product.home), "PORT": str(free_port())}
    said = on_a_terminal([str(product.file), *OFFLINE, "true"], {**base, **environ})
    assert ("\x1b[1mThe app\x1b[0m" in said) == is_coloured
    assert ("\x1b" in said) == is_coloured
    assert max(len(re.sub(r"\x1b\[\d+m", "", line)) for line in said.splitlines()) <= 80


def test_a_log_gets_no_colours(product: Product) -> None:
    assert "\x1b" not in product.run(OFFLINE, ["true"], environ={"TERM": "xterm"}).output


def test_a_locale_without_the_letters_is_no_trouble(product: Product) -> None:
    finished = product.run(
        OFFLINE, ["true", "señor", b"\xff\x1b".decode(errors="surrogateescape")], environ={"LC_ALL": "POSIX"}
    )
    assert finished.status == 0, finished
    assert r"\udcff\u001b" in finished.output


def test_a_source_tree_does_it_too() -> None:
    environ = {"PATH": os.environ["PATH"], "PORT": str(free_port())}
    finished = subprocess.run(
        [sys.executable, "-m", "launcher", *OFFLINE, "--json", "true"], cwd=ROOT, env=environ, capture_output=True
    )
    assert finished.returncode == 0, finished
    assert json.loads(finished.stdout)["result"] == {"is_fine": True, "outcome": "fine"}


def test_a_reader_that_goes_away_is_no_traceback(product: Product) -> None:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(product.home), "PORT": str(free_port())}
    finished = subprocess.run(
        ["sh", "-c", f'"{product.file}" "$@" | true', "sh", *OFFLINE, "true"], env=environ, capture_output=True
    )
    assert finished.stderr == b""
