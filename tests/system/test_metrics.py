"""What leaves the launcher as metrics is what was counted: on the port, on the control socket, and in the log."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from launcher.addresses import private_address
from tests.l2met_reader import Metric, metrics
from tests.system import accounts
from tests.system.launched import Launched, Product
from tests.system.load import mixed_requests, send_all
from tests.system.machine import free_port
from tests.system.sink import Sink, command, sink, wait_until
from tests.test_prometheus import samples

COUNT = 60
REQUESTS = mixed_requests(COUNT)


@contextmanager
def scene(product: Product, folder: Path, *options: str, **environ: str) -> Iterator[tuple[Launched, Sink]]:
    with sink(folder / "copies") as destination:
        words = ["--to", destination.url, *options]
        with product.launch(words, command(folder / "app"), environ=environ) as launched:
            launched.wait_until_listening()
            yield launched, destination


def page(port: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return samples(answer.read().decode())


def test_the_page_has_what_clients_and_destination_counted(product: Product, tmp_path: Path) -> None:
    port = free_port()
    with scene(product, tmp_path, "--metrics-port", str(port)) as (launched, destination):
        assert launched.wait_for_line("metrics-listening")["host"] == "127.0.0.1"
        send_all(launched.port, REQUESTS)
        destination.wait_for(COUNT)
        output = (("destination", destination.url), ("outcome", "2xx"), ("replayer", "builtin"))
        wait_until(lambda: page(port).get(("output_copies_total", output)) == COUNT, "all copies are accounted for")
        found = page(port)
        assert found["requests_seen_total", ()] == found["requests_total", (("outcome", "offered"),)] == COUNT
        taken = (("outcome", "taken"), ("replayer", "builtin"))
        assert found["replayer_copies_total", taken] == COUNT
        assert found["output_latency_seconds_count", (output[0], output[2])] == COUNT
        assert found["state", (("state", "mirroring"),)] == found["replayer_up", (("replayer", "builtin"),)] == 1
        launched.stop()
        assert accounts.tap_counters(launched)["offered"] == COUNT


def test_the_port_is_on_loopback_only_and_answers_nothing_else(product: Product, tmp_path: Path) -> None:
    port = free_port()
    with scene(product, tmp_path, TRAFFIC_DUPLICATOR_METRICS_PORT=str(port)) as (launched, _):
        launched.wait_for_line("metrics-listening")
        for path, method, status in (("/status", "GET", 404), ("/control", "POST", 404), ("/metrics", "POST", 405)):
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=30)
            refused.value.close()
            assert refused.value.code == status
        address = private_address(socket.AF_INET)
        if address is not None:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((address, port), 30)


def test_a_port_that_is_taken_is_one_warning_and_the_app_is_mirrored(product: Product, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with scene(product, tmp_path, "--metrics-port", port) as (launched, destination):
            warning = launched.wait_for_line("metrics-failed", level="warning", port=int(port))
            assert warning["error"] == "Address already in use"
            send_all(launched.port, REQUESTS)
            destination.wait_for(COUNT)
            launched.stop()
            assert len(launched.facts("metrics-failed")) == 1


def test_the_clients_port_is_never_taken_for_metrics(product: Product, tmp_path: Path) -> None:
    port = free_port()
    words = ["--to", "http://127.0.0.1:1", "--metrics-port", str(port)]
    with product.launch(words, command(tmp_path / "app"), port=port) as launched:
        launched.wait_until_listening()
        assert "--metrics-port must differ" in launched.wait_for_line("configuration")["warning"]
        send_all(launched.port, REQUESTS)
        launched.stop()


def test_the_control_socket_has_the_same_page(product: Product, tmp_path: Path) -> None:
    with scene(product, tmp_path) as (launched, destination):
        send_all(launched.port, REQUESTS)
        destination.wait_for(COUNT)
        status = product.run(["--status", "--json", "--port", str(launched.port)])
        path = json.loads(status.output)["launcher"]["control_socket"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with client.makefile("rb") as answer:
                head, _, body = answer.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert samples(body.decode())["requests_seen_total", ()] == COUNT
        launched.stop()


def log_metrics(launched: Launched) -> list[Metric]:
    return [metric for line in launched.log.splitlines() for metric in metrics(line)]


def test_the_counts_of_the_log_add_up_to_the_totals(product: Product, tmp_path: Path) -> None:
    with scene(product, tmp_path, "--stats-interval", "0.2", DYNO="web.7") as (launched, destination):
        for number in range(3):
            send_all(launched.port, mixed_requests(20, first_id=20 * number))
            launched.wait_for_line("metrics", nth=len(launched.facts("metrics")) + 1)
        destination.wait_for(COUNT)
        launched.stop()
        found = log_metrics(launched)
        assert {metric.source for metric in found} == {"web.7"}
        sums: Counter[str] = Counter()
        for metric in found:
            if metric.kind == "count":
                sums[metric.name.removeprefix("traffic-duplicator.")] += int(metric.value)
        name = "destination." + destination.url.replace("://", "-").replace(".", "-").replace(":", "-")
        assert sums["requests.seen"] == sums["requests.offered"] == sums["replayer.builtin.taken"] == COUNT
        assert sums[f"{name}.2xx"] == COUNT
        latencies = [metric for metric in found if metric.kind == "measure"]
        assert {metric.unit for metric in latencies} == {"ms"}
        assert {metric.name for metric in latencies} == {
            f"traffic-duplicator.{name}.latency.p{percent}" for percent in (50, 95, 99)
        }


def test_a_quiet_launcher_has_nothing_to_say_when_all_is_well(product: Product, tmp_path: Path) -> None:
    with sink(tmp_path / "copies") as destination:
        words = ["--to", destination.url, "--quiet", "--stats-interval", "0.1"]
        with product.launch(words, command(tmp_path / "app")) as launched:
            wait_until(lambda: not launched.is_refused(), "the launcher's port")
            send_all(launched.port, REQUESTS)
            destination.wait_for(COUNT)
            launched.stop()
            assert launched.log == ""


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_quiet_launcher_still_says_what_is_wrong(product: Product, tmp_path: Path, how: str) -> None:
    words, environ = (["--quiet"], {}) if how == "option" else ([], {"TRAFFIC_DUPLICATOR_QUIET": "yes"})
    finished = product.run(words, ["true"], environ=environ)
    [line] = finished.log.splitlines()
    assert line.startswith("traffic-duplicator at=unmirrored level=warning reason=\"there is no destination")
    finished = product.run(words, ["true"], environ={**environ, "TRAFFIC_DUPLICATOR_ENABLED": "false"})
    assert (finished.status, finished.log) == (0, "")
