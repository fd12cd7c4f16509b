"""Apps that go wrong: `bad_app.py MODE WORK-US ANSWERS`. Each answers `ok` as app.py does, after so many microseconds
of processor, but for what its mode says; those that crash do that in the request behind so many answers. SIGUSR1 has it
accept nobody, and the next one accept again: by leaving clients in its backlog, or (`closes-door`) by closing its
listener. `workers` prints `worker` for each that it starts, `closes` at its end how many connections it has closed."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import socket
import sys
import time

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
_OK_LAST = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
_EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
_EVENT_SECONDS = 0.05
_WORKERS = 2
_WORKER_SECONDS = 0.4
_SOCKETS = 5000
_DOOR = "door"  # the listener, in the selector


class App:
    """One thread, one selector."""

    def __init__(self, listener: socket.socket, mode: str, work_us: float, answers: int) -> None:
        self.mode = mode
        self.crash_after = answers
        self.closed = 0
        self.work_seconds = work_us / 1e6
        self.answers = 0
        self.is_stopping = False
        self.selector = selectors.DefaultSelector()
        self.listener = listener
        self.selector.register(listener, selectors.EVENT_READ, _DOOR)
        self.is_accepting = True
        self.connections: dict[socket.socket, bytearray] = {}
        self.streams: list[socket.socket] = []

    def run(self) -> None:
        """Until it was told to stop, and the connections there are have had their last answers."""
        next_event = time.monotonic()
        while not self.is_stopping or self.connections:
            for key, _ in self.selector.select(_EVENT_SECONDS):
                if key.data == _DOOR:
                    self._accept()
                else:
                    self._receive(key.fileobj)  # type: ignore[arg-type]
            if self.streams and time.monotonic() >= next_event:
                next_event = time.monotonic() + _EVENT_SECONDS
                for stream in list(self.streams):
                    self._tell(stream)

    def stop(self) -> None:
        """The answer that is next on each connection is its last; streams end now."""
        self.is_stopping = True
        with contextlib.suppress(KeyError):
            self.selector.unregister(self.listener)
        for stream in list(self.streams):
            self._close(stream)

    def toggle(self) -> None:
        """Accepts no longer, or again."""
        self.is_accepting = not self.is_accepting
        if not self.is_accepting:
            self.selector.unregister(self.listener)
            if self.mode == "closes-door":
                self.listener.close()
            return
        if self.mode == "closes-door":
            self.listener = listening()
        self.selector.register(self.listener, selectors.EVENT_READ, _DOOR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # a worker was quicker; or the listener has just been closed
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[connection] = bytearray()
            self.selector.register(connection, selectors.EVENT_READ)

    def _tell(self, stream: socket.socket) -> None:
        try:
            stream.sendall(b"data: %f\n\n" % time.time())
        except OSError:
            self._close(stream)

    def _close(self, connection: socket.socket) -> None:
        self.selector.unregister(connection)
        del self.connections[connection]
        if connection in self.streams:
            self.streams.remove(connection)
        connection.close()

    def _receive(self, connection: socket.socket) -> None:
        held = self.connections[connection]
        try:
            data = connection.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        held += data
        while (end := held.find(b"\r\n\r\n")) >= 0:
            head = bytes(held[:end]).lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0]) if b"content-length: " in head else 0
            if self.mode == "early" and b"/early" in head:
                connection.sendall(_OK)  # before the body has come
                connection.setblocking(True)
                missing = length - (len(held) - end - 4)
                while missing > 0 and (data := connection.recv(missing)):
                    missing -= len(data)
                held.clear()
                return
            if len(held) < end + 4 + length:
                return
            del held[: end + 4 + length]
            if not self._answer(connection, head):
                return

    def _answer(self, connection: socket.socket, head: bytes) -> bool:
        """Whether more may come on the connection."""
        self.answers += 1
        if self.answers == self.crash_after:
            if self.mode == "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.mode in ("crash", "exit-0"):
                os._exit(3 if self.mode == "crash" else 0)
        if self.mode == "events" and b"get /events" in head:
            connection.sendall(_EVENTS)
            self.streams.append(connection)
            return False
        done_at = time.perf_counter() + self.work_seconds
        while time.perf_counter() < done_at:
            pass
        is_last = self.is_stopping  # a signal may come from here on: what was promised is kept
        try:
            connection.sendall(_OK_LAST if is_last else _OK)
        except OSError:
            self._close(connection)
            return False
        if is_last or self.mode == "closes":
            self._close(connection)
            self.closed += 1
            return False
        return True


def listening() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=1024)
    listener.setblocking(False)
    return listener


def serve(listener: socket.socket, mode: str, work_us: float, answers: int = 0) -> None:
    app = App(listener, mode, work_us, answers)
    signal.signal(signal.SIGTERM, lambda *_: app.stop())
    signal.signal(signal.SIGUSR1, lambda *_: app.toggle())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    app.run()
    if mode == "closes":
        print("closed", app.closed, flush=True)


def supervise(listener: socket.socket, work_us: float) -> None:
    """Workers that share the listener; the oldest is told to stop, and replaced, time and again."""
    workers: list[int] = []
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    while not stopping:
        while len(workers) < _WORKERS:
            print("worker", flush=True)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # a new one hears it once it has a handler
            pid = os.fork()
            if not pid:
                serve(listener, "", work_us)
                os._exit(0)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            workers.append(pid)
        time.sleep(_WORKER_SECONDS)
        os.kill(workers.pop(0), signal.SIGTERM)
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def daemonise() -> None:
    """daemon(7): the first process ends, the second has no terminal and no streams."""
    if os.fork():
        os._exit(0)
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)


def main(mode: str, work_us: float, answers: int) -> None:
    if mode == "crash-at-start":
        sys.exit(3)
    listener = listening()
    if mode == "daemon":
        daemonise()
    if mode == "workers":
        supervise(listener, work_us)
        return
    kept = []
    if mode == "sockets":
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        kept = [socket.socket() for _ in range(min(_SOCKETS, hard - 200))]
    serve(listener, mode, work_us, answers)
    del kept


main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
