"""When clients can connect: `$PORT` opens when the app accepts, and follows it from then on."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.destination import Destination
from tests.system.launched import Launched, Product, app
from tests.system.machine import free_port, listener

TO_NOBODY = ["--to", "http://127.0.0.1:1"]


def app_port(launched: Launched) -> str:
    """Where the app is, by the launcher's own account."""
    return launched.facts("listening")[-1]["app"].rpartition(":")[2]


@pytest.fixture(scope="module", autouse=True)
def silent(product: Product) -> Iterator[Launched]:
    """A launcher whose app does not listen: it runs beside the other tests, as it takes 20 s to say so."""
    with product.launch(TO_NOBODY, app("controlled.py")) as launched:
        yield launched
        if launched.is_running:  # its test has failed, or was not asked for
            launched.tell("exit 0")
            launched.wait()


# ---- the port opens with the app -------------------------------------------------------------------------------


def test_port_is_closed_until_the_app_listens_then_requests_reach_app_and_destination(product: Product) -> None:
    with Destination() as destination, product.launch(["--to", destination.url], app("controlled.py")) as launched:
        launched.wait_for_output("started")
        assert launched.is_refused()
        launched.tell("listen")
        launched.wait_until_listening()
        assert launched.http("GET", "/a?b=1").body == b"GET /a?b=1 0\n"
        [arrival] = destination.wait_for_arrivals(1)
        assert (arrival.method, arrival.target) == ("GET", "/a?b=1")
        launched.tell("exit 3")
        assert launched.wait() == 3


def test_an_app_that_dies_before_it_listens_ends_the_launcher_and_no_client_ever_connects(product: Product) -> None:
    with product.launch(TO_NOBODY, app("controlled.py")) as launched:
        launched.wait_for_output("started")
        assert launched.is_refused()
        launched.tell("exit 9")
        assert launched.wait() == 9
        assert launched.is_refused()
        assert launched.facts("listening") == []
        assert launched.facts("app-exited") == [{"at": "app-exited", "level": "info", "status": "9"}]


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_clients_of_both_families_reach_an_app_on_either(product: Product, host: str) -> None:
    with product.launch(TO_NOBODY, app("controlled.py")) as launched:
        launched.wait_for_output("started")
        launched.tell(f"listen {host} {launched.port + 1}")
        launched.wait_until_listening()
        for client_host in ("127.0.0.1", "::1"):
            with socket.create_connection((client_host, launched.port), 30) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        launched.tell("exit 0")
        assert launched.wait() == 0


def test_an_app_that_takes_the_clients_port_itself_is_named_and_serves_them(product: Product) -> None:
    with product.launch(TO_NOBODY, app("controlled.py")) as launched:
        launched.wait_for_output("started")
        launched.tell(f"listen {launched.port}")
        line = launched.wait_for_line("port-taken", level="error", port=launched.port, mirroring="off")
        assert f"{launched.port + 1}, or write {{port}}" in line["hint"]
        assert launched.http("GET", "/direct").body == b"GET /direct 0\n"
        assert launched.facts("listening") == []
        launched.send_signal(signal.SIGTERM)
        launched.wait_for_output("got SIGTERM")
        launched.tell("exit 0")
        assert launched.wait() == 0


# ---- and follows it --------------------------------------------------------------------------------------------


def test_while_the_app_does_not_accept_clients_are_refused_and_then_served_again(product: Product) -> None:
    with Destination() as destination, product.launch(
        ["--to", destination.url], app("controlled.py", "listen")
    ) as launched:
        launched.wait_until_listening()
        assert launched.http("GET", "/before").status == 200
        launched.tell("stop-listening")
        launched.wait_for_output("stop-listening")
        with pytest.raises(ConnectionError):  # the first to come finds out
            launched.http("GET", "/unlucky")
        line = launched.wait_for_line("not-listening", level="warning")
        assert line["app"] == f"127.0.0.1:{app_port(launched)}"
        assert launched.is_refused()
        launched.tell("listen")
        launched.wait_until_listening(nth=2)
        assert launched.http("GET", "/after").status == 200
        assert sorted(arrival.target for arrival in destination.wait_for_arrivals(2)) == ["/after", "/before"]
        launched.tell("exit 0")
        assert launched.wait() == 0
        assert len(destination.arrivals) == 2


def test_connections_live_on_while_the_app_accepts_no_new_ones(product: Product) -> None:
    with product.launch(TO_NOBODY, app("controlled.py", "listen")) as launched:
        launched.wait_until_listening()
        with launched.connect() as client, client.makefile("rb") as answers:
            client.sendall(b"GET /one HTTP/1.1\r\nHost: h\r\n\r\n")
            read_answer(answers.readline)
            launched.tell("stop-listening")
            launched.wait_for_output("stop-listening")
            with pytest.raises(ConnectionError):
                launched.http("GET", "/unlucky")
            launched.wait_for_line("not-listening")
            client.sendall(b"GET /two HTTP/1.1\r\nHost: h\r\n\r\n")
            assert read_answer(answers.readline) == b"GET /two 0\n"
        launched.tell("exit 0")
        assert launched.wait() == 0


def read_answer(readline: Callable[[], bytes]) -> bytes:
    """The body, one line, of the next answer."""
    assert readline().startswith(b"HTTP/1.1 200 ")
    while readline() != b"\r\n":
        pass
    return readline()


# ---- where the app is ------------------------------------------------------------------------------------------


def test_app_gets_the_next_port_or_another_one_if_that_is_taken(product: Product) -> None:
    port = free_port()
    with listener(port + 1), product.launch(TO_NOBODY, app("controlled.py", "listen"), port=port) as launched:
        launched.wait_until_listening()
        assert int(app_port(launched)) not in (port, port + 1)
        assert launched.http("GET", "/").status == 200
        launched.tell("exit 0")
        assert launched.wait() == 0
    with product.launch(TO_NOBODY, app("controlled.py", "listen"), port=port) as launched:
        launched.wait_until_listening()
        assert int(app_port(launched)) == port + 1
        launched.tell("exit 0")
        assert launched.wait() == 0


def test_a_port_that_somebody_else_has_is_named_and_the_app_runs_unmirrored(product: Product) -> None:
    port = free_port()
    with listener(port):
        finished = product.run(TO_NOBODY, ["sh", "-c", "echo app on $PORT; exit 7"], port=port)
    assert (finished.status, finished.output) == (7, f"app on {port}\n")
    [line] = finished.facts("unmirrored")
    assert line["level"] == "warning" and f"port {port} " in line["reason"]


COMMANDS = [
    (["-p", "PORT"], ["-p", "APP"]),
    (["-pPORT", "tcp://0.0.0.0:PORT", "[::]:PORT"], ["-pAPP", "tcp://0.0.0.0:APP", "[::]:APP"]),
    (["1PORT", "PORT1", "1.PORT", "PORTms"], ["1PORT", "PORT1", "1.PORT", "PORTms"]),
    (["--bind={port}", "-p", "PORT"], ["--bind=APP", "-p", "PORT"]),
]


@pytest.mark.parametrize(("words", "moved"), COMMANDS)
def test_app_learns_its_port_from_its_arguments_and_from_port(
    product: Product, words: list[str], moved: list[str]
) -> None:
    port, at = str(free_port()), str(free_port())
    command = ["sh", "-c", 'echo "$PORT $*"', "sh", *(word.replace("PORT", port) for word in words)]
    finished = product.run([*TO_NOBODY, "--app-port", at], command, port=int(port))
    assert finished.output == " ".join([at, *moved]).replace("PORT", port).replace("APP", at) + "\n", finished.log


def test_with_the_kill_switch_only_the_placeholder_is_replaced_by_the_clients_port(product: Product) -> None:
    port = free_port()
    environ = {"TRAFFIC_DUPLICATOR_ENABLED": "no"}
    command = ["sh", "-c", 'echo "$PORT $*"', "sh", str(port), "{port}"]
    finished = product.run(TO_NOBODY, command, port=port, environ=environ)
    assert (finished.status, finished.output) == (0, f"{port} {port} {port}\n")
    [line] = finished.facts("unmirrored")
    assert line["level"] == "info" and "TRAFFIC_DUPLICATOR_ENABLED" in line["reason"]


# ---- a Unix socket ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["placeholder", "option"])
@pytest.mark.parametrize("is_enabled", ["true", "false"])
def test_an_app_on_a_unix_socket_is_relayed_and_mirrored_unless_switched_off(
    product: Product, tmp_path: Path, way: str, is_enabled: str
) -> None:
    options, word = ([], "listen {socket}") if way == "placeholder" else (["--app-socket", f"{tmp_path}/s"], None)
    command = app("controlled.py", word or f"listen {tmp_path}/s")
    environ = {"TRAFFIC_DUPLICATOR_ENABLED": is_enabled}
    with Destination() as destination, product.launch(
        ["--to", destination.url, *options], command, environ=environ
    ) as launched:
        socket_path = Path(launched.wait_until_listening()["app"])
        assert launched.http("POST", "/", body=b"12345").body == b"POST / 5\n"
        if is_enabled == "true":
            destination.wait_for_arrivals(1)
        launched.tell("exit 0")
        assert launched.wait() == 0
        assert len(destination.arrivals) == (1 if is_enabled == "true" else 0)
        assert bool(launched.facts("unmirrored")) == (is_enabled == "false")
    assert way == "option" or not socket_path.parent.exists(), "the socket's folder is left behind"


def test_a_folder_that_the_user_named_for_the_socket_is_made_and_keeps_what_the_app_puts_there(
    product: Product, tmp_path: Path
) -> None:
    options = ["--to", "http://127.0.0.1:1", "--app-socket", "run/s"]
    for script, left in (("exit 3", []), ("echo kept > run/data; exit 3", ["run"])):
        finished = product.run(options, ["sh", "-c", script], cwd=tmp_path)
        assert finished.status == 3, finished.log
        assert [path.name for path in tmp_path.iterdir()] == left
    assert (tmp_path / "run" / "data").read_text() == "kept\n"


def test_an_app_whose_socket_has_no_folder_runs_all_the_same(product: Product, tmp_path: Path) -> None:
    options = ["--to", "http://127.0.0.1:1", "--app-socket", f"{tmp_path}/no/such/s"]
    finished = product.run(options, ["sh", "-c", "exit 3"])
    assert finished.status == 3
    assert finished.facts("app-socket-folder")[0]["folder"] == f"{tmp_path}/no/such"


# ---- no port ---------------------------------------------------------------------------------------------------


def test_in_a_dyno_without_a_port_the_command_runs_as_it_is_and_one_line_says_so(product: Product) -> None:
    environ = {"DYNO": "worker.1", "PORT": None}
    command = ["sh", "-c", 'echo "${PORT-no port}" "$*" $PPID; exit 7', "sh", "5000", "{port}"]
    with product.launch(TO_NOBODY, command, environ=environ) as launched:
        assert launched.wait() == 7
        words = launched.output.split()
        assert words[:-1] == ["no", "port", "5000", "{port}"]
        assert int(words[-1]) != launched.pid, "the command is a child of the launcher, which should be gone"
        assert launched.log.count("\n") == 1, launched.log
        [line] = launched.facts("unmirrored")
        assert line["level"] == "info" and "PORT" in line["reason"]


def test_outside_of_a_dyno_port_5000_is_the_clients(product: Product) -> None:
    finished = product.run(["--dry-run", *TO_NOBODY], ["true"], environ={"PORT": None})
    assert "5000" in finished.output


# ---- the last one: see `silent` --------------------------------------------------------------------------------


def test_an_app_that_never_listens_is_told_after_20_s_where_it_should_and_may_still_come(silent: Launched) -> None:
    line = silent.wait_for_line("app-silent", level="warning", seconds=20)
    assert f"port {silent.port + 1};" in line["hint"] and f"{silent.port} opens when" in line["hint"]
    assert silent.is_refused()
    silent.tell("listen")
    silent.wait_until_listening()
    assert silent.http("GET", "/late").status == 200
    assert len(silent.facts("app-silent")) == 1
    silent.tell("exit 0")
    assert silent.wait() == 0
