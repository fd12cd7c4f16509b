"""What gor.options keep secret stays so: in the log, in the printed plan, in what other users see of our processes."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.system.destination import Destination
from tests.system.launched import Finished, Launched, Product, app
from tests.system.machine import free_port

TOKEN = "s3cr3t-t0ken-from-a-variable"
PASSWORD = "p@ss:w/rd-from-a-variable"
LITERAL = "literal-s3cr3t-in-the-file"
QUOTED_PASSWORD = quote(PASSWORD, safe="")
BASIC = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
SECRETS = (TOKEN, PASSWORD, QUOTED_PASSWORD, LITERAL, BASIC)
ENVIRON = {"API_TOKEN": TOKEN, "STAGING_PASSWORD": QUOTED_PASSWORD, "WHOLE_HEADER": f"X-Key: {TOKEN}"}

HEADERS = f"""\
--http-set-header "Authorization: Bearer $API_TOKEN"
--http-set-header 'X-Api-Key: {LITERAL}'
--http-set-header "$WHOLE_HEADER"
"""


def options_naming(host: str) -> str:
    return f'--output-http "http://user:${{STAGING_PASSWORD}}@{host}"\n--output-http http://{host}\n{HEADERS}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path


def write_options(folder: Path, text: str) -> None:
    (folder / "config" / "gor.options").write_text(text)


def found_in(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def command_lines(launched: Launched) -> str:
    """Of the launcher and its built-in replayers: what `ps` shows to everybody."""
    texts = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in launched.processes()]
    assert any("--replay" in text for text in texts), texts
    return "\n".join(texts)


def serve(product: Product, folder: Path, *, requests: int, outcome: str) -> Finished:
    """Some requests to a launcher whose copies end in `outcome`."""
    command = app("controlled.py", "listen")
    with product.launch(["--stats-interval", "1"], command, environ=ENVIRON, cwd=folder) as launched:
        launched.wait_until_listening()
        for _ in range(requests):
            launched.http("GET", "/")
        launched.wait_for_line("output", **{outcome: requests})
        assert found_in(command_lines(launched)) == []
        launched.tell("exit 0")
        return Finished(launched.wait(), launched.output, launched.log, launched.port)


def test_secrets_reach_the_destination_and_nobody_else(product: Product, folder: Path) -> None:
    with Destination() as destination:
        write_options(folder, options_naming(f"127.0.0.1:{destination.port}"))
        finished = serve(product, folder, requests=1, outcome="2xx")
        arrivals = destination.arrivals
    assert [arrival.header("X-Api-Key") for arrival in arrivals] == [LITERAL] * 2
    assert {arrival.header("Authorization") for arrival in arrivals} == {f"Bearer {TOKEN}", f"Basic {BASIC}"}
    assert found_in(finished.log) == []


def test_secrets_stay_secret_when_the_destination_answers_with_errors(product: Product, folder: Path) -> None:
    with Destination(status=500) as destination:
        write_options(folder, options_naming(f"127.0.0.1:{destination.port}"))
        finished = serve(product, folder, requests=3, outcome="5xx")
    assert found_in(finished.log) == []


def test_secrets_stay_secret_when_the_destination_is_not_there(product: Product, folder: Path) -> None:
    write_options(folder, options_naming(f"127.0.0.1:{free_port()}"))
    finished = serve(product, folder, requests=3, outcome="refused")
    assert finished.facts("destination-failed"), finished.log
    assert found_in(finished.log) == []


def test_secrets_in_to_stay_out_of_the_log_and_of_the_replayers_words(product: Product, tmp_path: Path) -> None:
    environ = {"TRAFFIC_DUPLICATOR_TO": f"http://user:{QUOTED_PASSWORD}@127.0.0.1:1 http://{LITERAL}@127.0.0.1:2"}
    command = app("controlled.py", "listen")
    with product.launch(["--stats-interval", "1"], command, environ=environ, cwd=tmp_path) as launched:
        launched.wait_until_listening()
        launched.http("GET", "/")
        launched.wait_for_line("destination-failed")
        assert found_in(command_lines(launched)) == []
        launched.tell("exit 0")
        launched.wait()
        assert found_in(launched.log) == []


@pytest.mark.parametrize("replayer", ["auto", "builtin"])
def test_secrets_are_not_in_the_printed_plan(product: Product, folder: Path, replayer: str) -> None:
    write_options(folder, options_naming("127.0.0.1:1"))
    finished = product.run(["--dry-run", "--offline", "--replayer", replayer], ["true"], environ=ENVIRON, cwd=folder)
    assert finished.status == 0, finished.log
    assert "http://***@127.0.0.1:1" in finished.output and "Authorization: ***" in finished.output
    assert found_in(finished.output + finished.log) == []


BROKEN_LINES = {
    "a header without a colon": '--http-set-header "Authorization Bearer $API_TOKEN"',
    "an unknown flag with it": f'--no-such-flag "$API_TOKEN" --http-set-header "X: {LITERAL}"',
    "a word that is no flag": '"$API_TOKEN"',
    "it, as a number": '--output-http-workers "$API_TOKEN"',
    "it, as a duration": '--output-http-timeout "$API_TOKEN"',
    "a broken URL": '--output-http "http://user:$STAGING_PASSWORD@[::1"',
    "a URL of another kind": '--output-http "ftp://user:$STAGING_PASSWORD@127.0.0.1"',
    "a literal in a broken URL": f'--output-http "http://user:{LITERAL}@127.0.0.1:port"',
    "a quote that is not closed": f"--http-set-header 'X-Api-Key: {LITERAL}",
    "a variable that is not set": f'--http-set-header "X-Api-Key: {LITERAL} $API_TOKEN $NO_SUCH"',
    "a limit that is none": '--output-http "http://user:$STAGING_PASSWORD@127.0.0.1|lots"',
    "an option that is refused": f'--input-http "http://user:{LITERAL}@127.0.0.1"',
    "a pattern that is none": f'--http-set-header "X: {LITERAL}" --http-allow-header "Authorization: ($API_TOKEN"',
}


def test_secrets_stay_secret_when_a_broken_file_is_refused(product: Product, folder: Path) -> None:
    write_options(folder, f"{options_naming('127.0.0.1:1')}{BROKEN_LINES['a broken URL']}\n")
    finished = product.run(["--strict"], ["true"], environ=ENVIRON, cwd=folder)
    assert finished.status == 2 and "Error: config/gor.options:6: " in finished.log
    assert found_in(finished.log) == []


@pytest.mark.parametrize("broken", BROKEN_LINES)
def test_secrets_stay_secret_when_their_own_line_is_broken(product: Product, folder: Path, broken: str) -> None:
    write_options(folder, f"--output-http http://127.0.0.1:1\n{BROKEN_LINES[broken]}\n")
    for options, status in (([], 0), (["--dry-run"], 1)):
        finished = product.run(options, ["true"], environ=ENVIRON, cwd=folder)
        assert finished.status == status, finished
        assert "config/gor.options:2: " in finished.output + finished.log
        assert found_in(finished.output + finished.log) == []
