"""What a comparison costs the replayer: the same records to the same destinations, with and without names, in turns.

    python3 bench/comparison.py [ROUNDS [RECORDS]]

Destinations are three ports of one nginx that answer 1 KB of JSON: the same each time, or with an id and a time that
are never the same, so that each pair is looked into. Processor time is the replayer's, all threads, for one request
to all destinations, from the first record to the last answer. Medians over the rounds; the goal is 1.5 times at most.
"""

from __future__ import annotations

import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from replayer import HEAD, ComparisonSettings, Running, feed, new_record, start_builtin, wait_until

GOAL = 1.5
ROLES = ("baseline", "candidate", "baseline2")
SAME, NEW = (18971, 18972, 18973), (18981, 18982, 18983)
ITEMS = ",".join(f'{{\\"id\\":{number},\\"name\\":\\"an item of the list\\",\\"price\\":1.5}}' for number in range(18))
NGINX = """
worker_processes 1; daemon off; pid nginx.pid; error_log error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000; keepalive_timeout 60s; default_type application/json;
  server {{ {same}
    location / {{ return 200 "{{\\"id\\":7,\\"at\\":1767225600.5,\\"items\\":[{items}]}}"; }} }}
  server {{ {new}
    location / {{ return 200 "{{\\"id\\":\\"$request_id\\",\\"at\\":$msec,\\"items\\":[{items}]}}"; }} }}
}}
"""


@contextmanager
def nginx(folder: Path) -> Iterator[None]:
    """The destinations."""
    same, new = (" ".join(f"listen 127.0.0.1:{port};" for port in ports) for ports in (SAME, NEW))
    (folder / "nginx.conf").write_text(NGINX.format(same=same, new=new, items=ITEMS))
    process = subprocess.Popen(
        [shutil.which("nginx") or "nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    )
    try:
        wait_until((folder / "nginx.pid").exists)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def start(ports: Sequence[int], folder: Path, *, compares: bool) -> Running:
    """The replayer with these destinations, which have roles if it compares."""
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    return start_builtin(urls, folder, ComparisonSettings(roles=ROLES[: len(ports)]) if compares else None)


def one_round(running: Running, folder: Path, records: Sequence[bytes], destinations: int) -> float:
    """Microseconds of processor time a record. What was answered is what the account says at the end."""
    before = running.nanoseconds()[0]
    feed(running, records)
    wait_until(lambda: _answered(folder) >= len(records) * destinations)
    return (running.nanoseconds()[0] - before) / 1000 / len(records)


def _answered(folder: Path) -> int:
    time.sleep(0.2)
    import json

    accounts = [line for line in (folder / "account").read_bytes().splitlines() if b'"at":"account"' in line]
    outputs = json.loads(accounts[-1])["outputs"] if accounts else []
    return sum(output["outcomes"].get("2xx", 0) for output in outputs)


def main() -> int:
    rounds, count = (int(word) for word in [*sys.argv[1:], "5", "6000"][:2])
    records = [new_record(HEAD % (number % 50, number), b"") for number in range(count)]
    results: dict[tuple[str, int, bool], list[float]] = {}
    with tempfile.TemporaryDirectory() as name, nginx(Path(name)):
        for _ in range(rounds):
            for kind, ports in (("the same", SAME), ("never the same", NEW)):
                for destinations in (2, 3):
                    for compares in (False, True):
                        running = start(ports[:destinations], Path(name), compares=compares)
                        try:
                            cost = one_round(running, Path(name), records, destinations)
                        finally:
                            running.end()
                        results.setdefault((kind, destinations, compares), []).append(cost)
    print(f"{rounds} rounds of {count} records\n\n| answers | destinations | µs without | µs with | ratio | goal |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind, destinations, _ in [key for key in results if not key[2]]:
        without, with_it = (statistics.median(results[kind, destinations, each]) for each in (False, True))
        ratio = with_it / without
        word = "reached" if ratio <= GOAL else "missed"
        print(f"| {kind} | {destinations} | {without:.0f} | {with_it:.0f} | {ratio:.2f} | {GOAL} {word} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
