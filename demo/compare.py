"""`demo --compare`: a shop's requests go to its next version and twice to the one that runs; the answers are compared.

The next version has three regressions. Exit status 0 only if the report finds exactly these.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from launched import DemoError, Launched, free_port, wait_until

SHOP = str(Path(__file__).with_name("shop.py"))
REQUESTS = 1200
APART_SECONDS = 0.006
PAGE = "comparison.html"
PLANTED = {
    "GET /users/{id}: status 200 → 500": "some users get an error",
    "GET /products/{id}: $.price type number → string": "a price became a text",
    "GET /search/{id}: slower": "searching became slow",
}


def compare(file: Path) -> int:
    """Shows it all. The exit status. Raises DemoError."""
    page = file.parent / PAGE
    with Launched() as launched, version() as baseline, version() as again, version("new") as candidate:
        print("\n   requests --> launcher --> the shop, as it runs now"
              "\n                   +-- the built-in replayer --> the same shop (baseline), once more (baseline2),"
              "\n                                                 its next version (candidate)\n")  # fmt: skip
        roles = {"baseline": baseline, "baseline2": again, "candidate": candidate}
        words = [word for role, port in roles.items() for word in ("--to", f"{role}=http://127.0.0.1:{port}")]
        launched.start(file, [*words, "--report-file", str(page)], [sys.executable, SHOP, "{port}"])
        launched.wait_until_it_listens()
        print(f"   {REQUESTS} requests, {REQUESTS * APART_SECONDS:.0f} s at the least...\n")
        send(launched.port)
        if not launched.stop():
            raise DemoError(f"the app did not end when it was asked to.\n\n{launched.log_text()}")
        found = told(launched.log_text())
        compared = launched.facts().get("compared", {})
    print(f"   {compared.get('pairs', '0')} pairs were compared, {compared.get('coverage', '0%')} of the requests\n")
    for what, meaning in PLANTED.items():
        print("ok" if what in found else "--", f"{what:<50} {meaning}")
    others = sorted(found - set(PLANTED))
    for what in others:
        print("--", f"{what:<50} was not planted")
    print(f"\n   The whole report: {page}")
    if set(PLANTED) == found:
        return 0
    print(f"\nIt should have found exactly the three.\n\n{launched_text(compared)}")
    return 1


def launched_text(facts: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in facts.items())


@contextmanager
def version(which: str = "old") -> Iterator[int]:
    """A shop of its own; its port."""
    port = free_port()
    shop = subprocess.Popen([sys.executable, SHOP, str(port), which], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: is_open(port), 10)
        yield port
    finally:
        shop.terminate()
        shop.wait()


def is_open(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def send(port: int) -> None:
    """One request after the other, at a steady pace."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    due = time.monotonic()
    for number in range(REQUESTS):
        connection.request("GET", f"/{('users', 'products', 'search')[number % 3]}/{number}")
        connection.getresponse().read()
        due = max(due + APART_SECONDS, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    connection.close()


def told(log: str) -> set[str]:
    """What the launcher's log says of differences, in the words of PLANTED."""
    found = set()
    for line in log.splitlines():
        if " at=difference " in line:
            found.add(re.search(r' what="([^"]*)"', line)[1])  # type: ignore[index]
        elif " at=slower " in line:
            found.add(re.search(r' endpoint="([^"]*)"', line)[1] + ": slower")  # type: ignore[index]
    return found
