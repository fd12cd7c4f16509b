"""What an app keeps for local callers stays closed to the launcher's clients: they are no local callers.

In network namespaces of the test's own: a machine with the app and the launcher, and a client at the far end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.needs import NAMESPACES, unavailable
from tests.system.launched import PATIENCE_SECONDS, SYSTEM_PATH, Launched, Product

PORT = 5000  # everybody has all ports in a namespace of its own
STATUS_OF = """\
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=30)
connection.request("GET", sys.argv[3])
print(connection.getresponse().status)
"""
NGINX_CONF = """\
daemon off;
user root;
worker_processes 1;
pid @FOLDER@/pid;
error_log stderr notice;
events {}
http {
  access_log off;
  client_body_temp_path @FOLDER@/1; proxy_temp_path @FOLDER@/2; fastcgi_temp_path @FOLDER@/3;
  uwsgi_temp_path @FOLDER@/4; scgi_temp_path @FOLDER@/5;
  server {
    listen @LISTEN@;
    root @FOLDER@/www;
    location /status { allow 127.0.0.1; allow ::1; deny all; }
    location / { }
  }
}
"""
START_NGINX = """\
sed "s/@LISTEN@/$LISTEN_ON$PORT/" "$1/nginx.conf.in" >"$1/nginx.conf"
exec nginx -p "$1" -c "$1/nginx.conf"
"""
UNTIL_OPEN = 'until ss -Hltn "sport = :$1" | grep -q .; do sleep 0.05; done'


@dataclass(frozen=True)
class Network:
    """Two namespaces with a cable between them."""

    machine: str
    client: str

    def words(self, namespace: str) -> list[str]:
        """What stands before a command that runs there."""
        return [ip_tool(), "netns", "exec", namespace]

    def status(self, namespace: str, host: str, target: str) -> int:
        """What a client there gets from the machine's port."""
        words = [*self.words(namespace), sys.executable, "-I", "-S", "-c", STATUS_OF, host, str(PORT), target]
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS * 2)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)


@dataclass(frozen=True)
class Family:
    """Addresses of the two ends, and nginx's word for all addresses of the family."""

    machine: str
    client: str
    mask: int
    every: str
    local: str


FAMILIES = {
    "IPv4": Family("10.77.0.1", "10.77.0.2", 24, "", "127.0.0.1"),
    "IPv6": Family("fd77::1", "fd77::2", 64, "[::]:", "::1"),
}


def ip_tool() -> str:
    return shutil.which("ip", path=SYSTEM_PATH) or "ip"


def ip(*words: str) -> None:
    subprocess.run([ip_tool(), *words], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    network = Network(f"td-machine-{os.getpid()}", f"td-client-{os.getpid()}")
    try:
        lay_cable(network)
    except (OSError, subprocess.CalledProcessError) as error:
        remove(network)
        unavailable(f"no network namespaces here (ip netns; needs root): {getattr(error, 'stderr', error)}", NAMESPACES)
    if shutil.which("nginx", path=SYSTEM_PATH) is None:
        remove(network)
        unavailable("no nginx here (apt-get install nginx-light)", NAMESPACES)
    yield network
    remove(network)


def lay_cable(network: Network) -> None:
    ends = ((network.machine, "td0"), (network.client, "td1"))
    for namespace, _ in ends:
        ip("netns", "add", namespace)
    ip("-n", network.machine, "link", "add", "td0", "type", "veth", "peer", "name", "td1", "netns", network.client)
    for namespace, end in ends:
        for family in FAMILIES.values():
            address = family.machine if namespace == network.machine else family.client
            without_detection = ["nodad"] if ":" in address else []
            ip("-n", namespace, "address", "add", f"{address}/{family.mask}", "dev", end, *without_detection)
        ip("-n", namespace, "link", "set", end, "up")
        ip("-n", namespace, "link", "set", "lo", "up")


def remove(network: Network) -> None:
    for namespace in (network.machine, network.client):
        subprocess.run([ip_tool(), "netns", "delete", namespace], capture_output=True)


@pytest.fixture
def nginx(tmp_path: Path) -> list[str]:
    """Words that start an nginx on `$PORT` of all addresses that LISTEN_ON names."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "status").write_text("for local callers\n")
    (tmp_path / "www" / "page").write_text("for everybody\n")
    (tmp_path / "nginx.conf.in").write_text(NGINX_CONF.replace("@FOLDER@", str(tmp_path)))
    return ["sh", "-c", START_NGINX, "sh", str(tmp_path)]


MODES = {"behind the launcher": "true", "without it": "false"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", FAMILIES)
def test_a_page_for_local_callers_answers_clients_with_403(
    product: Product, network: Network, nginx: Sequence[str], name: str, mode: str
) -> None:
    family = FAMILIES[name]
    environ = {"TRAFFIC_DUPLICATOR_ENABLED": MODES[mode], "LISTEN_ON": family.every}
    options, words = ["--to", "http://127.0.0.1:1"], network.words(network.machine)
    with product.launch(options, nginx, environ=environ, port=PORT, prefix=words) as launched:
        wait_until_open(launched, network)
        assert network.status(network.client, family.machine, "/status") == 403
        assert network.status(network.client, family.machine, "/page") == 200
        if mode == "without it":
            assert network.status(network.machine, family.local, "/status") == 200, "the rule lets local callers in"
        else:
            assert launched.facts("listening")
        assert launched.stop() == 0


def wait_until_open(launched: Launched, network: Network) -> None:
    if launched.environ["TRAFFIC_DUPLICATOR_ENABLED"] == "true":
        launched.wait_until_listening()
    else:
        words = [*network.words(network.machine), "sh", "-c", UNTIL_OPEN, "sh", str(PORT)]
        subprocess.run(words, check=True, timeout=PATIENCE_SECONDS)
