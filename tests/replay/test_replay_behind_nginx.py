"""What the real nginx's `mirror` sends to --input-http."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from launcher.addresses import free_port
from tests.replay.by_hand import by_hand
from tests.replay.harness import OK, Visit, destination

CONF = """\
daemon off; master_process off; pid {folder}/pid; error_log stderr notice;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  upstream copies {{ server 127.0.0.1:{copies}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ mirror /copy; proxy_pass http://127.0.0.1:{app}; }}
    location = /copy {{
      internal; proxy_pass http://copies$request_uri; proxy_set_header Host $host; {more}
    }}
  }}
}}
"""
KEEP_ALIVE = 'proxy_http_version 1.1; proxy_set_header Connection "";'


@asynccontextmanager
async def nginx(folder: Path, app: int, copies: int, more: str) -> AsyncIterator[int]:
    """Its port, once it listens."""
    port = free_port(28400)
    (folder / "nginx.conf").write_text(CONF.format(folder=folder, port=port, app=app, copies=copies, more=more))
    process = await trio.lowlevel.open_process(
        ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                await trio.aclose_forcefully(await trio.open_tcp_stream("127.0.0.1", port))
                break
            except OSError:
                assert process.poll() is None, "nginx did not start"
                await trio.sleep(0.02)
        yield port
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def old_app(visit: Visit) -> None:
    """nginx speaks HTTP/1.0 to it."""
    await visit.request()
    await visit.send(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\napp")


async def healthy(visit: Visit) -> None:
    while await visit.request() is not None:
        await visit.send(OK)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx")
@pytest.mark.parametrize(("more", "version"), [("proxy_http_version 1.0;", b"1.0"), (KEEP_ALIVE, b"1.1")])
async def test_what_nginx_mirrors_is_replayed(tmp_path: Path, more: str, version: bytes) -> None:
    async with (
        destination(healthy) as served,
        destination(old_app) as app,
        by_hand("--input-http", "127.0.0.1:0", "--to", served.url) as running,
        nginx(tmp_path, app.port, await running.port(), more) as port,
    ):
        for number in range(20):
            async with await trio.open_tcp_stream("127.0.0.1", port) as client:
                head = b"POST /a%%20b?n=%d HTTP/1.1\r\nHost: app\r\nX-Mixed: 1\r\n" % number
                await client.send_all(head + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi")
                answer = b"".join([bytes(data) async for data in client])
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"app")
        running.process.send_signal(signal.SIGTERM)
        assert await running.end() == 0
        assert running.final("input", "received") == running.final("output", "2xx") == 20
        assert sorted(request.split(b" ")[1] for request in served.requests) == sorted(
            b"/a%%20b?n=%d" % number for number in range(20)
        )
        for request in served.requests:
            assert request.split(b"\r\n")[0].endswith(b" HTTP/" + version) and request.endswith(b"\r\n\r\nhi")
            assert b"\r\nX-Mixed: 1\r\n" in request and b"\r\nConnection" not in request
