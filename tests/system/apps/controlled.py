"""A web app that does what its standard input says and tells on its standard output what it did, so that tests wait
for events instead of sleeping.

It starts without listening, says `started`, and tells each signal (`got SIGTERM`) without obeying it. Commands, one a
line or an argument, each answered by its own words when it has been done:
    listen [[HOST] PORT] accept clients there: by default on 127.0.0.1 and the port in PORT
    listen PATH          accept clients at a Unix socket
    stop-listening       close the listener; connections live on
    answer               let the requests that wait be answered
    die SIGNAL           end by this signal
    exit STATUS [SECONDS] end, after taking as long
    orphan               start a process whose parent ends at once: tells `orphan PID`; it ends by itself
    is-gone PID          wait until there is no such process, not even a zombie
GET /wait tells `waiting` and is answered after `answer`; all else is answered at once with the method, the target and
the length of the body. GET /large/N is answered with N bytes, and tells `sent`.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

TOLD_SIGNALS = {  # but for those that are ignored
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN,
    signal.SIGTTOU, signal.SIGWINCH,
}  # fmt: skip
ORPHAN_SECONDS = 0.2

may_answer = threading.Event()


def tell(line: str) -> None:
    os.write(1, line.encode() + b"\n")  # one write a line: several threads tell


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one write
    disable_nagle_algorithm = False  # a Unix socket has none

    def do_GET(self) -> None:
        if self.path == "/wait":
            tell("waiting")
            may_answer.wait()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = f"{self.command} {self.path} {len(body)}\n".encode()
        is_large = self.path.startswith("/large/")
        if is_large:
            answer = bytes(int(self.path.rpartition("/")[2]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        if is_large:
            self.wfile.flush()
            tell("sent")

    do_POST = do_GET  # noqa: N815 - the name is http.server's

    def log_message(self, *_: object) -> None:
        pass


class TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), Handler)

    def handle_error(self, *_: object) -> None:
        pass  # a client that is gone


class UnixServer(socketserver.ThreadingUnixStreamServer):
    request_queue_size = 64
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        pass


server: socketserver.BaseServer | None = None


def listen(where: str) -> None:
    global server
    if where.startswith("/"):
        server = UnixServer(where, Handler)
    else:
        host, _, port = where.rpartition(" ")
        server = TcpServer(host or "127.0.0.1", int(port))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()


def stop_listening() -> None:
    assert server is not None
    server.shutdown()
    server.server_close()


def orphan() -> int:
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        child = os.fork()
        if child == 0:
            time.sleep(ORPHAN_SECONDS)  # outlives its parent: only then it is somebody else's to reap
            os._exit(0)
        os.write(writer, str(child).encode())
        os._exit(0)
    os.waitpid(parent, 0)
    return int(os.read(reader, 20))


def wait_until_gone(pid: str) -> None:
    while os.path.exists(f"/proc/{pid}"):
        time.sleep(0.01)


def obey(command: str, word: str) -> str:
    """Does it. What to tell."""
    if command == "listen":
        listen(word or os.environ["PORT"])
    elif command == "stop-listening":
        stop_listening()
    elif command == "answer":
        may_answer.set()
    elif command == "die":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD_SIGNALS)
        signal.pthread_kill(threading.get_ident(), signal.Signals[word])
    elif command == "exit":
        status, _, seconds = word.partition(" ")
        time.sleep(float(seconds or 0))
        os._exit(int(status))
    elif command == "orphan":
        return f"orphan {orphan()}"
    elif command == "is-gone":
        wait_until_gone(word)
    else:
        return f"what is {command}?"
    return f"{command} {word}".rstrip()


def tell_signals() -> None:
    """In a thread of its own: a Python handler would wait for the main thread's read to end."""
    while True:
        tell(f"got {signal.Signals(signal.sigwait(TOLD_SIGNALS)).name}")


def main() -> None:
    TOLD_SIGNALS.difference_update({number for number in TOLD_SIGNALS if signal.getsignal(number) is signal.SIG_IGN})
    signal.pthread_sigmask(signal.SIG_BLOCK, TOLD_SIGNALS)
    threading.Thread(target=tell_signals, daemon=True).start()
    tell("started")
    for line in itertools.chain(sys.argv[1:], sys.stdin):
        command, _, word = line.strip().partition(" ")
        tell(obey(command, word))
    os._exit(0)


main()
