"""The proxies that bench/proxies.py compares, each in front of the same nginx, on loopback.

Each is started for one measurement and ended by its pid. What a proxy copies goes to another nginx, which answers
every copy with 204 at once; ours hands its copies to the built-in replayer, which throws them away.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "dist" / "start-traffic-duplicator.pyz"
PATIENCE_SECONDS = 15.0

_NGINX = """
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}.log crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 8000; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; client_max_body_size 0; sendfile on;
  client_body_temp_path {folder}/{name}-body; proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/{name}-fastcgi; uwsgi_temp_path {folder}/{name}-uwsgi; scgi_temp_path {folder}/{name}-scgi;
  client_body_buffer_size 64k; default_type text/plain;
  {http}
}}
"""
_APP = """server {{ listen 127.0.0.1:{port} backlog=4096; root {folder};
  location / {{ return 200 "{answer}"; }} location /download {{ }} }}"""
_SINK = "server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 204; }} }}"
_MIRROR = """
  upstream app {{ server 127.0.0.1:{app}; keepalive 64; keepalive_requests 100000000; }}
  upstream sink {{ server 127.0.0.1:{sink}; keepalive 64; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_buffering on; proxy_max_temp_file_size 0;
    location / {{ mirror /copy; proxy_pass http://app; }}
    location = /copy {{ internal; proxy_pass http://sink$request_uri; }} }}"""
_HAPROXY = """
global
  nbthread 1
  maxconn 3000
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  {options}
listen proxy
  bind 127.0.0.1:{port}
  server app 127.0.0.1:{app}
"""
_EM_PROXY = """
$LOAD_PATH.unshift(File.join(ENV.fetch("EM_PROXY"), "lib"))
require "em-proxy"
Proxy.start(host: "127.0.0.1", port: {port}) do |conn|
  conn.server :prod, host: "127.0.0.1", port: {app}
  conn.server :test, host: "127.0.0.1", port: {sink}
  conn.on_data { |data| data }
  conn.on_response { |server, response| response if server == :prod }
  conn.on_finish { |server, _| :close if server == :prod }
end
"""


@dataclass(frozen=True)
class Place:
    """Where everything of one run is."""

    folder: Path
    app: int
    sink: int


@dataclass(frozen=True)
class Running:
    """A proxy that takes connections on `port`."""

    port: int
    pids: tuple[int, ...]  # of the proxy itself
    replayers: tuple[int, ...] = ()  # of what sends the copies on, where that is a process of its own


@dataclass(frozen=True)
class Contestant:
    """One proxy, and what it needs."""

    name: str
    start: Callable[[Place], Iterator[Running]]
    missing: Callable[[], str | None]


# ---- programs -----------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def program(words: Sequence[str | Path], port: int, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs until the block ends; it accepts on `port` when the block begins."""
    process = subprocess.Popen(
        [str(word) for word in words], env={**os.environ, **environ},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.set_blocking(process.stderr.fileno(), False)  # type: ignore[union-attr]
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                said = process.stderr.read() or b""  # type: ignore[union-attr]
                raise RuntimeError(f"{words[0]} does not serve: {said.decode(errors='replace')[-500:]}")
            time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_SECONDS)
        process.kill()
        process.wait()


def accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def children(pid: int) -> list[int]:
    """Of all its threads: trio starts processes in one that is not the first."""
    with suppress(OSError):
        files = [task / "children" for task in Path(f"/proc/{pid}/task").iterdir()]
        return [int(word) for file in files for word in file.read_text().split()]
    return []


def nginx(folder: Path, name: str, http: str) -> list[str | Path]:
    config = folder / f"{name}.conf"
    config.write_text(_NGINX.format(folder=folder, name=name, http=http))
    return ["nginx", "-e", "stderr", "-c", config]


@contextmanager
def place(folder: Path, answer_bytes: int, download_bytes: int) -> Iterator[Place]:
    """The app that all but ours share, and the destination of the copies."""
    (folder / "download").write_bytes(b"d" * download_bytes)
    here = Place(folder, free_port(), free_port())
    app = _APP.format(port=here.app, folder=folder, answer="a" * answer_bytes)
    (folder / "app.http").write_text(app)
    sink = _SINK.format(port=here.sink)
    with program(nginx(folder, "app", app), here.app), program(nginx(folder, "sink", sink), here.sink):
        yield here


# ---- contestants --------------------------------------------------------------------------------------------------


def launcher(*options: str, destinations: str = "--output-null") -> Callable[[Place], Iterator[Running]]:
    @contextmanager
    def ours(here: Place) -> Iterator[Running]:
        port, app_port = free_port(), free_port()
        answer = (here.folder / "app.http").read_text().replace(f":{here.app}", f":{app_port}")
        command = nginx(here.folder, "own", answer)
        gor_options = here.folder / "gor.options"
        # What a replayer sends on costs that process, and is not the relay's: with --output-null it sends nothing.
        gor_options.write_text(destinations.format(sink=here.sink) + "\n")
        words = [FILE, "--gor-options", gor_options, "--app-port", str(app_port)]
        words += ["--host", "127.0.0.1", "--stats-interval", "0", *options, *command]
        with program(words, port, PORT=str(port)) as process:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not (replayers := tuple(pid for pid in children(process.pid) if _is_replayer(pid))):
                if time.monotonic() > deadline:
                    raise RuntimeError("the launcher has no replayer")
                time.sleep(0.02)
            yield Running(port, (process.pid,), replayers)

    return ours  # type: ignore[return-value]


def _is_replayer(pid: int) -> bool:
    with suppress(OSError):
        return b"--replay" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@contextmanager
def nginx_mirror(here: Place) -> Iterator[Running]:
    port = free_port()
    words = nginx(here.folder, "mirror", _MIRROR.format(port=port, app=here.app, sink=here.sink))
    with program(words, port) as master:
        yield Running(port, tuple(children(master.pid)))


@contextmanager
def em_proxy(here: Place) -> Iterator[Running]:
    port = free_port()
    script = here.folder / "em_proxy.rb"
    text = _EM_PROXY
    for name, number in (("port", port), ("app", here.app), ("sink", here.sink)):
        text = text.replace(f"{{{name}}}", str(number))
    script.write_text(text)
    with program(["ruby", script], port) as process:
        yield Running(port, (process.pid,))


def haproxy(options: str) -> Callable[[Place], Iterator[Running]]:
    @contextmanager
    def start(here: Place) -> Iterator[Running]:
        port = free_port()
        config = here.folder / "haproxy.cfg"
        config.write_text(_HAPROXY.format(port=port, app=here.app, options=options))
        with program(["haproxy", "-db", "-f", config], port) as process:
            yield Running(port, (process.pid,))

    return start  # type: ignore[return-value]


def needs(name: str, package: str) -> Callable[[], str | None]:
    return lambda: None if shutil.which(name) else f"{name} is not here: apt-get install {package}"


def needs_em_proxy() -> str | None:
    if shutil.which("ruby") is None:
        return "ruby is not here: apt-get install ruby-eventmachine"
    if not os.environ.get("EM_PROXY"):
        return "EM_PROXY names no checkout of github.com/igrigorik/em-proxy"
    tried = subprocess.run(["ruby", "-e", 'require "eventmachine"'], capture_output=True, check=False)
    return "ruby has no eventmachine: apt-get install ruby-eventmachine" if tried.returncode else None


def needs_file() -> str | None:
    return None if FILE.exists() else f"{FILE.name} is missing: run python3 build.py"


OURS, OURS_UNCOPIED, EM_PROXY, NGINX, HAPROXY, HAPROXY_SPLICE = (
    "traffic-duplicator", "traffic-duplicator, --sample 0",
    "em-proxy", "nginx mirror", "HAProxy", "HAProxy, splice-auto",
)  # fmt: skip
CONTESTANTS = (
    Contestant(OURS, launcher(), needs_file),
    Contestant(OURS_UNCOPIED, launcher("--sample", "0"), needs_file),  # tells requests apart and copies none
    Contestant(EM_PROXY, em_proxy, needs_em_proxy),  # type: ignore[arg-type]
    Contestant(NGINX, nginx_mirror, needs("nginx", "nginx-light")),  # type: ignore[arg-type]
    Contestant(HAPROXY, haproxy(""), needs("haproxy", "haproxy")),
    Contestant(HAPROXY_SPLICE, haproxy("option splice-auto"), needs("haproxy", "haproxy")),
)
