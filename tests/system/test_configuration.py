"""A broken configuration never keeps the app from running: it runs unmirrored on `$PORT`, and one line says why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.system.destination import Destination
from tests.system.launched import Finished, Product, app

TELLS_WHERE_IT_RUNS = ["sh", "-c", 'echo "app on $PORT, $1"; exit 7', "sh", "{port}"]


@pytest.fixture
def options_file(tmp_path: Path) -> Path:
    """`config/gor.options` in the folder where the tests start the launcher."""
    (tmp_path / "config").mkdir()
    return tmp_path / "config" / "gor.options"


def assert_ran_unmirrored(finished: Finished, reason: str) -> None:
    assert (finished.status, finished.output) == (7, f"app on {finished.port}, {finished.port}\n"), finished.log
    [line] = finished.facts("unmirrored")
    assert line["level"] == "warning"
    assert reason in line["reason"]
    assert finished.log.count("\n") == 1, finished.log


def assert_refused(finished: Finished, reason: str) -> None:
    assert (finished.status, finished.output) == (2, ""), "the app must not be started"
    assert finished.log.startswith("Error: ") and finished.log.count("\n") == 1, finished.log
    assert reason in finished.log


# ---- config/gor.options ----------------------------------------------------------------------------------------

TO = "--output-http http://127.0.0.1:1\n"
BROKEN_FILES = {
    "an unknown flag": (f"{TO}--no-such-flag 1\n", "config/gor.options:2: "),
    "a variable that is not set": (f"{TO}\n--http-set-header 'A: b' $NO_SUCH", ":3: the variable NO_SUCH is not set"),
    "a quote that is not closed": (f"{TO}--http-set-header 'A: b\n", ":2: the single quote"),
    "a command substitution": ("--output-http $(cat url)\n", ":1: commands in $(...) are not run"),
    "an input of its own": (f"{TO}--input-raw :80\n", ":2: "),
    "a value that is none": (f"{TO}--output-http-timeout soon\n", ":2: "),
    "not UTF-8": (f"{TO}# caf\udce9\n", "no UTF-8 text"),
    "no destination": ("# --output-http http://127.0.0.1:1\n", "there is no destination"),
}


@pytest.mark.parametrize("broken", BROKEN_FILES)
def test_a_broken_options_file_runs_the_app_unmirrored_and_says_why_and_where(
    product: Product, options_file: Path, broken: str
) -> None:
    text, reason = BROKEN_FILES[broken]
    options_file.write_bytes(text.encode(errors="surrogateescape"))
    finished = product.run([], TELLS_WHERE_IT_RUNS, cwd=options_file.parents[1])
    assert_ran_unmirrored(finished, reason)
    assert "config/gor.options" in finished.log


@pytest.mark.parametrize("broken", ["an unknown flag", "a variable that is not set", "no destination"])
def test_a_broken_options_file_is_refused_when_strict(product: Product, options_file: Path, broken: str) -> None:
    text, reason = BROKEN_FILES[broken]
    options_file.write_bytes(text.encode(errors="surrogateescape"))
    finished = product.run(["--strict"], TELLS_WHERE_IT_RUNS, cwd=options_file.parents[1])
    assert_refused(finished, reason)


def test_an_unmirrored_app_serves_its_clients_itself(product: Product, options_file: Path) -> None:
    options_file.write_text("--no-such-flag\n")
    with product.launch([], app("controlled.py", "listen"), cwd=options_file.parents[1]) as launched:
        launched.wait_for_output("listen")
        assert launched.http("GET", "/").body == b"GET / 0\n"
        assert launched.processes() == [launched.pid], "the app has taken the launcher's place"
        launched.tell("exit 0")
        assert launched.wait() == 0


@pytest.mark.parametrize("missing", ["no-such-file", "config"])
def test_an_options_file_that_was_named_must_be_a_file(product: Product, options_file: Path, missing: str) -> None:
    options_file.write_text(TO)
    cwd = options_file.parents[1]
    finished = product.run(["--gor-options", missing], TELLS_WHERE_IT_RUNS, cwd=cwd)
    assert_ran_unmirrored(finished, f"{missing}: can't be read: ")
    assert_refused(product.run(["--gor-options", missing, "--strict"], ["true"], cwd=cwd), missing)


def test_options_file_is_read_as_a_shell_would_and_found_by_itself(product: Product, options_file: Path) -> None:
    with Destination() as destination:
        options_file.write_text(
            "# where to, and what to add\r\n"
            '--output-http "http://${STAGING}" \\\r\n'
            "  --http-set-header 'X-Copy: a # b'  # one more\r\n"
        )
        environ = {"STAGING": f"127.0.0.1:{destination.port}"}
        command = app("controlled.py", "listen")
        with product.launch([], command, environ=environ, cwd=options_file.parents[1]) as launched:
            launched.wait_until_listening()
            launched.http("GET", "/copied")
            [arrival] = destination.wait_for_arrivals(1)
            assert (arrival.target, arrival.header("X-Copy")) == ("/copied", "a # b")
            launched.tell("exit 0")
            assert launched.wait() == 0


# ---- variables -------------------------------------------------------------------------------------------------

BROKEN_VARIABLES = {
    "TRAFFIC_DUPLICATOR_BUFFER": "16 monkeys", "TRAFFIC_DUPLICATOR_SAMPLE": "lots", "TRAFFIC_DUPLICATOR_TO": "ftp://x",
    "TRAFFIC_DUPLICATOR_HOST": "localhost", "TRAFFIC_DUPLICATOR_STATS_INTERVAL": "-1",
    "TRAFFIC_DUPLICATOR_APP_PORT": "70000", "TRAFFIC_DUPLICATOR_ENABLED": "maybe", "TRAFFIC_DUPLICATOR_STRICT": "maybe",
    "TRAFFIC_DUPLICATOR_DROP_HEADER": "Cookie:", "TRAFFIC_DUPLICATOR_GOR_OPTIONS": "/nonexistent",
    "TRAFFIC_DUPLICATOR_REPLAYER": "/nonexistent/gor",
}  # fmt: skip


def with_variable(name: str) -> dict[str, str | None]:
    return {"TRAFFIC_DUPLICATOR_TO": "http://127.0.0.1:1", name: BROKEN_VARIABLES[name]}


@pytest.mark.parametrize("name", BROKEN_VARIABLES)
def test_a_broken_variable_runs_the_app_unmirrored_and_says_why(product: Product, name: str) -> None:
    finished = product.run([], TELLS_WHERE_IT_RUNS, environ=with_variable(name))
    named = BROKEN_VARIABLES[name] if BROKEN_VARIABLES[name].startswith("/") else f"{name} must be "
    assert_ran_unmirrored(finished, named)


def test_all_broken_variables_are_named_at_once_when_strict(product: Product) -> None:
    files = ("TRAFFIC_DUPLICATOR_GOR_OPTIONS", "TRAFFIC_DUPLICATOR_REPLAYER")
    names = [name for name in BROKEN_VARIABLES if name not in (*files, "TRAFFIC_DUPLICATOR_STRICT")]
    environ = {name: BROKEN_VARIABLES[name] for name in names}
    finished = product.run(["--strict"], TELLS_WHERE_IT_RUNS, environ=environ)
    assert (finished.status, finished.output) == (2, "")
    for name in names:
        assert f"Error: {name} must be " in finished.log


def test_a_port_that_is_none_is_the_apps_own_business(product: Product) -> None:
    finished = product.run(["--to", "http://127.0.0.1:1"], ["sh", "-c", 'echo "$PORT"'], environ={"PORT": "http"})
    assert (finished.status, finished.output) == (0, "http\n")
    [line] = finished.facts("unmirrored")
    assert "PORT must be a port from 1 to 65535, not 'http'" in line["reason"]


# ---- no destination --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environ", [{}, {"TRAFFIC_DUPLICATOR_TO": ""}])
def test_without_a_destination_the_app_runs_unmirrored_with_one_warning(
    product: Product, tmp_path: Path, environ: Mapping[str, str]
) -> None:
    finished = product.run([], TELLS_WHERE_IT_RUNS, environ=environ, cwd=tmp_path)
    assert_ran_unmirrored(finished, "there is no destination: use --to URL")
    assert_refused(product.run(["--strict"], ["true"], environ=environ, cwd=tmp_path), "there is no destination")


@pytest.mark.parametrize("word", ["false", "0", "no", "OFF"])
def test_the_kill_switch_is_stronger_than_a_broken_configuration(
    product: Product, options_file: Path, word: str
) -> None:
    options_file.write_text("--no-such-flag\n")
    environ = {"TRAFFIC_DUPLICATOR_ENABLED": word, "TRAFFIC_DUPLICATOR_STRICT": "yes"}
    finished = product.run([], ["sh", "-c", "exit 7"], environ=environ, cwd=options_file.parents[1])
    assert finished.status == 7
    assert len(finished.facts("unmirrored")) == 1 and finished.log.count("\n") == 1
