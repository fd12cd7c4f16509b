"""Where the relay's time goes: system calls a request, and the functions of Python's own part.

    .venv/bin/python bench/relay_profile.py [keep-alive|close|post]

Runs the relay with a mirror whose queue is emptied at once, in this process, before the same nginx and under the same
load as bench/proxies.py: first under strace (if it is here), which counts, then under cProfile, whose times are too
long but in proportion. Needs wrk and nginx.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import trio
from contestants import place
from loads import CLOSE, KEEP_ALIVE, POST, Answered, Mode, load

from launcher.counters import FeedCounters
from launcher.mirror import Mirror, MirrorSettings
from launcher.mirror_queue import Budget, MirrorQueue
from launcher.poller import Poller
from launcher.relay import AppAddress, Relay

MODES = {"keep-alive": KEEP_ALIVE, "close": CLOSE, "post": POST}
BUFFER_BYTES = 16 * 1024**2
SHOWN = 25  # functions


def main(words: Sequence[str]) -> int:
    name = words[0] if words else "keep-alive"
    if name not in MODES:
        print(f"Error: one of {', '.join(MODES)}, not {name}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # for nginx's worker
        with place(Path(folder), 1024, 1 << 20) as here:
            trio.run(profile, MODES[name], here.folder, here.app)
    return 0


async def profile(mode: Mode, folder: Path, app_port: int) -> None:
    budget = Budget(BUFFER_BYTES)
    queue = MirrorQueue(budget, BUFFER_BYTES, FeedCounters())

    def empty() -> None:
        while (record := queue.pop()) is not None:
            queue.release(record)

    queue.on_offer = empty
    mirror = Mirror([queue], budget, MirrorSettings())
    poller = Poller()
    app = AppAddress(socket.AF_INET, ("127.0.0.1", app_port))
    relay = Relay(poller, app, new_tap=mirror.new_tap, app_refused=lambda: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        relay.listen("127.0.0.1", 0)

        async def under_load() -> Answered:
            return await trio.to_thread.run_sync(load, folder, relay.port, mode, 2)

        await under_load()
        if shutil.which("strace") is None:
            print("strace is not here: system calls are not counted", file=sys.stderr)
        else:
            words = ["strace", "-c", "-p", str(os.getpid())]
            strace = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
            answered = await under_load()
            strace.send_signal(signal.SIGINT)
            told = await trio.to_thread.run_sync(strace.communicate)
            print_system_calls(told[1], answered.requests)
        profiler = cProfile.Profile()
        profiler.enable()
        answered = await under_load()
        profiler.disable()
        print_functions(profiler, answered.requests)
        nursery.cancel_scope.cancel()


def print_system_calls(table: str, requests: int) -> None:
    print(f"| {requests} requests | calls each |\n| --- | --- |")
    for line in table.splitlines():
        found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z]\w+)$", line)
        if found and found[2] != "total" and int(found[1]) >= requests / 100:
            print(f"| {found[2]} | {int(found[1]) / requests:.2f} |")


def print_functions(profiler: cProfile.Profile, requests: int) -> None:
    print(f"\n| {requests} requests | own µs each | calls each |\n| --- | --- | --- |")
    stats = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    for (file, _, function), (_, calls, own, *_) in sorted(stats.items(), key=lambda item: -item[1][2])[:SHOWN]:
        print(f"| {Path(file).name} {function} | {own / requests * 1e6:.2f} | {calls / requests:.2f} |")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
