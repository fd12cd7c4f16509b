"""What strangers can do to the launcher and its copies: SECURITY.md's promises, with real processes and raw bytes."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from launcher.gor.binary import Gor
from launcher.replay.record_format import SEPARATOR
from tests.gors import NAMES, real_gor
from tests.system.accounts import is_builtin, is_gor
from tests.system.destination import Destination
from tests.system.launched import Launched, Product, app
from tests.system.machine import free_port, listeners, proc, with_descendants
from tests.system.strangers import LISTENS, say, serving


@pytest.fixture(params=["builtin", *NAMES])
def replayer(request: pytest.FixtureRequest) -> str:
    """The value of --replayer: the built-in one, then each real gor that is there."""
    return "builtin" if request.param == "builtin" else str(real_gor(request.param).path)


def its_own(launched: Launched) -> list[int]:
    """The processes of the launcher, without the app."""
    pids = launched.processes()
    of_app = [pid for pid in pids if LISTENS[-2].encode() in proc(pid, "cmdline") and not is_launcher(pid)]
    return [pid for pid in pids if not any(pid in with_descendants(each, pids) for each in of_app)]


def is_launcher(pid: int) -> bool:
    words = proc(pid, "cmdline").split(b"\0")
    return any(word.endswith((b".pyz", b"__main__.py", b"gor_helper.py")) for word in words)


# ---- what listens, and what lies about -----------------------------------------------------------------------------


def test_of_all_processes_of_the_launcher_only_the_relay_listens_and_only_at_port(
    product: Product, replayer: str
) -> None:
    with Destination() as destination, serving(product, "--replayer", replayer, "--to", destination.url) as launched:
        launched.http("GET", "/")
        destination.wait_for_arrivals(1)
        pids = its_own(launched)
        assert any(is_builtin(pid) or is_gor(pid) for pid in pids)
        found = {(pid, each) for pid in pids for each in listeners(pid)}
        assert {(pid, each) for pid, each in found if not each.startswith("unix ")} == {
            (launched.pid, f"tcp :::{launched.port}")
        }
        for _, each in found:
            if each.startswith("unix "):  # the control socket
                path = Path(each.removeprefix("unix "))
                assert (modes(path), modes(path.parent), path.owner()) == ("0600", "0700", Path("/proc/self").owner())


def test_metrics_are_served_to_this_machine_alone(product: Product) -> None:
    port = free_port()
    with serving(product, "--metrics-port", str(port), "--to", "http://127.0.0.1:1") as launched:
        launched.wait_for_line("metrics-listening", port=port)
        found = {each for pid in its_own(launched) for each in listeners(pid) if not each.startswith("unix ")}
        assert found == {f"tcp :::{launched.port}", f"tcp 127.0.0.1:{port}"}


def test_with_a_host_it_listens_there_alone(product: Product) -> None:
    with serving(product, "--host", "127.0.0.1", "--to", "http://127.0.0.1:1") as launched:
        found = {each for pid in its_own(launched) for each in listeners(pid) if not each.startswith("unix ")}
        assert found == {f"tcp 127.0.0.1:{launched.port}"}


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Below it the control socket's path has less than the 108 bytes of unix(7), as below any home."""
    with tempfile.TemporaryDirectory(prefix="s") as folder:
        yield Path(folder)


def test_all_that_it_has_on_disk_is_in_folders_that_only_its_user_can_enter(
    product: Product, replayer: str, short_folder: Path
) -> None:
    """While it runs nothing is in /tmp; without a home one folder, and its name tells the user."""
    temporary, home = short_folder / "tmp", short_folder / "home"
    temporary.mkdir()
    home.mkdir()
    mask = os.umask(0)  # the worst that an image can have
    try:
        for value, expected in ((str(home), []), (None, [f"traffic-duplicator-{os.geteuid()}"])):
            environ = {"TMPDIR": str(temporary), "HOME": value}
            with Destination() as destination:
                options = ("--replayer", replayer, "--to", destination.url)
                with serving(product, *options, environ=environ, cwd=home) as launched:
                    launched.http("GET", "/")
                    destination.wait_for_arrivals(1)
                    assert [folder.name for folder in temporary.iterdir()] == expected
                    for folder in (*temporary.iterdir(), *home.iterdir()):
                        assert modes(folder) == modes(folder / "run") == "0700"
                        assert {modes(path) for path in (folder / "run").iterdir()} <= {"0600"}
        assert [folder.name for folder in temporary.iterdir()] == expected, "something is left behind"
        assert list(temporary.glob("*/run/*")) == []
    finally:
        os.umask(mask)


def test_the_socket_of_the_app_is_in_a_folder_of_its_own(product: Product, tmp_path: Path) -> None:
    command = app("controlled.py", "listen {socket}")
    with product.launch(["--to", "http://127.0.0.1:1"], command, environ={"TMPDIR": str(tmp_path)}) as launched:
        launched.wait_until_listening()
        (folder,) = tmp_path.iterdir()
        assert modes(folder) == "0700" and folder.name not in ("app", "traffic-duplicator")
        launched.tell("exit 0")
        launched.wait()
    assert list(tmp_path.iterdir()) == []


def modes(path: Path) -> str:
    return f"{stat.S_IMODE(path.lstat().st_mode):04o}"


# ---- what a client can make of its copies --------------------------------------------------------------------------

GOOD = b"GET /good HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: app\r\n\r\n"
FIRST = b"POST /first HTTP/1.1\r\nHost: app\r\n"
AMBIGUOUS = {
    "CL.TE": FIRST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "TE.CL": FIRST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n29\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
    "TE.TE": FIRST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": FIRST + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "a list of lengths": FIRST + b"Content-Length: 0, %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "a signed length": FIRST + b"Content-Length: +0\r\n\r\n" + SMUGGLED,
    "a hexadecimal length": FIRST + b"Content-Length: 0x0\r\n\r\n" + SMUGGLED,
    "a space before the colon": FIRST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a tab before the colon": FIRST + b"Content-Length\t: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "a coding behind a tab": FIRST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a folded coding": FIRST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "another coding": FIRST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked, not last": FIRST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a bare LF before the coding": FIRST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "bare LFs": FIRST.replace(b"\r", b"") + b"\n" + SMUGGLED,
    "a bare CR": FIRST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a NUL": FIRST + b"Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a long chunk size": FIRST + b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n" + SMUGGLED,
    "a chunk size with a bare LF": FIRST + b"Transfer-Encoding: chunked\r\n\r\n0\n\r\n" + SMUGGLED,
    "a chunk extension with a bare LF": FIRST + b"Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\n0\r\n\r\n" + SMUGGLED,
    "no CRLF behind a chunk": FIRST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxxx0\r\n\r\n" + SMUGGLED,
    "chunked in HTTP/1.0": FIRST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a length in trailers": FIRST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 41\r\n\r\n" + SMUGGLED,
    "HTTP/0.9": b"GET /smuggled\r\n" + SMUGGLED,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
    "a space in the target": b"GET /a HTTP/1.1 /b HTTP/1.1\r\nHost: app\r\n\r\n" + SMUGGLED,
}  # fmt: skip


def test_requests_that_can_be_read_in_two_ways_are_relayed_and_never_copied(product: Product) -> None:
    with Destination() as destination, serving(product, "--to", destination.url) as launched:
        for shape in AMBIGUOUS.values():
            say(launched, shape)
        assert b"GET /good" in say(launched, GOOD)
        arrivals = destination.wait_for_arrivals(1)
    (output,) = [facts for facts in launched.facts("output") if facts.get("final") == "true"]
    assert [arrival.target for arrival in arrivals] == ["/good"] and output["received"] == "1"
    (end,) = launched.facts("end")
    assert (int(end["seen"]), int(end["unframed"])) == (len(AMBIGUOUS) + 1, len(AMBIGUOUS))


def fake_record(target: str) -> bytes:
    return f"1 {'a' * 24} 1700000000000000000 -1\nGET {target} HTTP/1.1\r\nHost: app\r\n\r\n".encode()


def test_a_body_that_looks_like_records_is_one_body(product: Product, replayer: str) -> None:
    """gor's separator, its lines of hex, frames of the built-in replayer's pipe: what a client sends is data."""
    fake = fake_record("/smuggled")
    bodies = [
        SEPARATOR + fake + SEPARATOR,
        b"\n" + fake.hex().encode() + b"\n",
        b"\r\n\r\n" + SMUGGLED,
        len(fake).to_bytes(4, "big") + fake + bytes(4) + b'{"drain_seconds":0}',
    ]
    with Destination() as destination, serving(product, "--replayer", replayer, "--to", destination.url) as launched:
        for number, body in enumerate(bodies):
            launched.http("POST", f"/{number}", body=body)
        destination.wait_for_arrivals(len(bodies))
        launched.http("GET", "/last")
        arrivals = destination.wait_for_arrivals(len(bodies) + 1)
    assert sorted(arrival.target for arrival in arrivals) == ["/0", "/1", "/2", "/3", "/last"]


def test_a_recording_holds_no_request_that_its_client_made_up(product: Product, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "gor.options").write_text("--output-file all.gor --output-file-append\n")
    with serving(product, "--replayer", "builtin", "--stats-interval", "1", cwd=tmp_path) as launched:
        launched.http("POST", "/first", body=SEPARATOR + fake_record("/smuggled") + SEPARATOR)
        launched.http("GET", "/second")
        launched.wait_for_line("output", received=2, written=1, untellable=1)
    recorded = (tmp_path / "all.gor").read_bytes()
    assert recorded.count(SEPARATOR) == 1 and b"/second" in recorded and b"/smuggled" not in recorded


@pytest.mark.parametrize("extra", [SMUGGLED, b"GET /smuggl"])
def test_a_recording_that_was_tampered_with_sends_no_request_that_no_filter_has_seen(
    product: Product, tmp_path: Path, extra: bytes
) -> None:
    (tmp_path / "all.gor").write_bytes(fake_record("/good") + extra + SEPARATOR + fake_record("/good") + SEPARATOR)
    with Destination() as destination:
        words = ["--replay", "--input-file", "all.gor", "--output-http", destination.url]
        done = subprocess.run(
            [product.file, *words, "--output-http-workers", "1", "--http-disallow-url", "smuggl"],
            cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(product.home)}, capture_output=True, text=True,
        )  # fmt: skip
        assert [arrival.target for arrival in destination.arrivals] == ["/good"], done.stderr
    assert "malformed=1" in done.stderr and "more follows behind the end of its request" in done.stderr


@pytest.mark.parametrize("level", ["1", "2", "3"])
def test_no_client_writes_lines_into_the_log_through_a_talkative_gor(
    product: Product, tmp_path: Path, gor: Gor, level: str
) -> None:
    """At --verbose 3 gor before 1.3 prints whole requests, and what a body holds looks like lines of its own."""
    forged = [
        "fatal error: forged", "panic: forged", "2026/01/01 00:00:00 forged", "[DEBUG][elapsed 1s]: forged",
        "[GOR-HELPER] forged", "[MIDDLEWARE] forged",
    ]  # fmt: skip
    body = "\n".join(["x", *forged, ""]).encode()
    (tmp_path / "config").mkdir()
    with Destination() as destination:
        (tmp_path / "config" / "gor.options").write_text(f"--output-http {destination.url}\n--verbose {level}\n")
        with serving(product, "--replayer", str(gor.path), cwd=tmp_path) as launched:
            launched.http("POST", "/first", body=body, headers={"X-A": "version `" * 6000})
            launched.http("POST", "/second", body=body)
            destination.wait_for_arrivals(2)
        warned = [facts for facts in launched.facts("configuration") if "--verbose 3" in facts["warning"]]
    assert launched.facts("gor-says") and "forged" not in launched.log, launched.log
    assert bool(warned) == (level == "3" and gor.version < (1, 3))


# ---- where copies go -----------------------------------------------------------------------------------------------


def targets_elsewhere(place: str) -> list[bytes]:
    """Requests whose client wants them to go to `place`."""
    lines = [
        f"GET http://{place}/ HTTP/1.1\r\nHost: app\r\n",
        f"GET http://{place}/ HTTP/1.1\r\nHost: {place}\r\n",
        f"GET http://{place}?x HTTP/1.0\r\nHost: {place}\r\n",
        f"GET https://{place}/ HTTP/1.1\r\nHost: app\r\n",
        f"GET ftp://{place}/ HTTP/1.1\r\nHost: app\r\n",
        f"GET http://app@{place}/ HTTP/1.1\r\nHost: app\r\n",
        f"GET //{place}/ HTTP/1.1\r\nHost: app\r\n",
        f"GET ///{place}/ HTTP/1.1\r\nHost: app\r\n",
        f"GET /\\{place}/ HTTP/1.1\r\nHost: app\r\n",
        f"GET @{place}/ HTTP/1.1\r\nHost: app\r\n",
        f"GET /x HTTP/1.1\r\nHost: {place}\r\nX-Forwarded-Host: {place}\r\nForwarded: host={place}\r\n",
        f"GET /x HTTP/1.1\r\nHost: app@{place}\r\n",
        f"GET /x HTTP/1.1\r\nHost: app\r\nHost: {place}\r\n",
        f"GET /x HTTP/1.1\r\nHost:\r\nProxy: http://{place}\r\nX-Original-URL: http://{place}/\r\n",
        f"OPTIONS http://{place} HTTP/1.1\r\nHost: {place}\r\n",
        f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n",
    ]
    return [f"{line}Connection: close\r\n\r\n".encode() for line in lines]


@pytest.mark.parametrize("keeps_host", [False, True])
def test_a_copy_goes_to_its_destination_wherever_its_client_would_have_it_go(
    product: Product, replayer: str, keeps_host: bool, tmp_path: Path
) -> None:
    (tmp_path / "config").mkdir()
    with Destination() as destination, Destination() as elsewhere:
        lines = f"--output-http {destination.url}\n{'--http-original-host' if keeps_host else ''}\n"
        (tmp_path / "config" / "gor.options").write_text(lines)
        with serving(product, "--replayer", replayer, cwd=tmp_path) as launched:
            for request in targets_elsewhere(f"127.0.0.1:{elsewhere.port}"):
                say(launched, request)
            say(launched, GOOD)
            destination.wait_for_arrivals(10)  # gor drops some of them
            wait_until_good(destination)
        assert elsewhere.arrivals == []


def wait_until_good(destination: Destination) -> None:
    """gor sends with many workers, so the last request may arrive before others; those come within its drain."""
    count = 1
    while not any(arrival.target == "/good" for arrival in destination.wait_for_arrivals(count)):
        count += 1


def test_a_redirect_leads_the_built_in_replayer_nowhere_else(product: Product, tmp_path: Path) -> None:
    assert arrivals_by_redirect(product, tmp_path, "builtin") == 0


def test_a_redirect_leads_gor_1_3_anywhere_as_the_docs_say(product: Product, tmp_path: Path, gor: Gor) -> None:
    expected = 1 if gor.version >= (1, 3) else 0
    assert arrivals_by_redirect(product, tmp_path, str(gor.path)) == expected


def arrivals_by_redirect(product: Product, tmp_path: Path, replayer: str) -> int:
    (tmp_path / "config").mkdir()
    with Destination() as elsewhere:
        headers = f"Location: {elsewhere.url}/metadata\r\n"
        with Destination(status=302, headers=headers) as destination:
            lines = f"--output-http {destination.url}\n--output-http-redirects 2\n"
            (tmp_path / "config" / "gor.options").write_text(lines)
            with serving(product, "--replayer", replayer, cwd=tmp_path) as launched:
                launched.http("GET", "/")
                destination.wait_for_arrivals(1)
        return len(elsewhere.arrivals)


# ---- what options can do -------------------------------------------------------------------------------------------

LINE_ENDS = {
    "a header that is set": '--http-set-header "X-Token: $BAD"',
    "a name that is set": '--http-set-header "$BAD: x"',
    "a header that is rewritten": '--http-rewrite-header "X-Token: .*,$BAD"',
    "a URL that is rewritten": '--http-rewrite-url "/a:$BAD"',
    "a parameter": '--http-set-param "a=$BAD"',
    "a destination": '--output-http "http://127.0.0.1:1/$BAD"',
}


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nX-Admin: 1", "a\rX-Admin: 1", "a\x01b", "a\x1b[31m"])
@pytest.mark.parametrize("line", LINE_ENDS)
def test_no_option_puts_a_line_end_into_copies(product: Product, tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "gor.options").write_text(f"--output-http http://127.0.0.1:1\n{LINE_ENDS[line]}\n")
    finished = product.run(["--strict"], ["true"], environ={"BAD": value}, cwd=tmp_path)
    assert finished.status == 2 and "config/gor.options:2: " in finished.log, finished.log
    assert "X-Admin" not in finished.log


HOSTILE_WORD = "a\x1b]0;owned\x07\r\ntraffic-duplicator at=balance balanced=true\u202e\x9b31m"


@pytest.mark.parametrize(
    "words",
    [
        (f"--{HOSTILE_WORD}", "true"),
        ("--port", HOSTILE_WORD, "true"),
        ("--to", f"http://{HOSTILE_WORD}", "true"),
        ("--strict", "--replayer", f"/{HOSTILE_WORD}", "--to", "http://127.0.0.1:1", "true"),
        ("--to", "http://127.0.0.1:1", f"/nonexistent/{HOSTILE_WORD}"),
        ("--dry-run", "--to", "http://127.0.0.1:1", f"/nonexistent/{HOSTILE_WORD}", HOSTILE_WORD),
        ("--replay", f"--{HOSTILE_WORD}"),
        ("--replay", "--input-file", HOSTILE_WORD, "--output-null"),
    ],
)  # fmt: skip
def test_nothing_that_it_prints_is_obeyed_by_a_terminal(product: Product, words: Sequence[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [product.file, *words], env={"PATH": os.environ["PATH"], "HOME": str(product.home), "PORT": "5000"},
        cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    printed = done.stdout + done.stderr
    assert printed and done.returncode
    for line in printed.split("\n"):
        assert line.isprintable() and not line.startswith("traffic-duplicator at=balance"), printed


# ---- who can read what it was told ---------------------------------------------------------------------------------


def test_what_gors_options_hold_can_be_seen_by_every_user_with_gor_and_by_none_without(
    product: Product, replayer: str, tmp_path: Path
) -> None:
    """docs/gor.md and SECURITY.md say so, and offer the built-in replayer, which reads them from a pipe."""
    (tmp_path / "config").mkdir()
    with Destination() as destination:
        lines = f'--output-http {destination.url}\n--http-set-header "Authorization: Bearer $TOKEN"\n'
        (tmp_path / "config" / "gor.options").write_text(lines)
        environ = {"TOKEN": "s3cr3t-t0ken"}
        with serving(product, "--replayer", replayer, cwd=tmp_path, environ=environ) as launched:
            launched.http("GET", "/")
            (arrival,) = destination.wait_for_arrivals(1)
            argvs = b"".join(proc(pid, "cmdline") for pid in its_own(launched))
            environs = {modes(Path(f"/proc/{pid}/environ")) for pid in its_own(launched)}
    assert arrival.header("Authorization") == "Bearer s3cr3t-t0ken"
    assert (b"s3cr3t-t0ken" in argvs) is (replayer != "builtin")
    assert environs == {"0400"}
