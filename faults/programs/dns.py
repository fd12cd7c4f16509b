"""A name server on 127.0.0.77. Says when it listens.

`dns.py FILE unknown` knows no name, `dns.py FILE silent` never answers, `dns.py FILE late N` says after N seconds that
every name is 127.0.0.1. FILE gets a line for each question: the seconds after which it was answered, or `never`.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from pathlib import Path

_NXDOMAIN, _FOUND = b"\x81\x83", b"\x81\x80"  # RFC 1035 §4.1.1: a response, recursion wanted and there; no such name
_ADDRESS = b"\0\1\0\1"  # §3.2: type A, class IN
_LOOPBACK = b"\xc0\x0c" + _ADDRESS + b"\0\0\0\0" + b"\0\4\x7f\0\0\1"  # §4.1.3: the question's name, for 0 s


def answer(query: bytes, *, is_known: bool) -> bytes:
    question = query[12 : query.index(b"\0", 12) + 5]
    found = [_LOOPBACK] if is_known and question.endswith(_ADDRESS) else []  # of other types there is nothing
    head = query[:2] + (_FOUND if is_known else _NXDOMAIN)
    return head + b"\0\1" + len(found).to_bytes(2, "big") + b"\0\0\0\0" + question + b"".join(found)


def main(file: str, mode: str, *seconds: str) -> None:
    def tell(after: object) -> None:
        with Path(file).open("a") as account:
            account.write(f"{after}\n")

    def send_late(asked_at: float, query: bytes, client: object) -> None:
        tell(time.monotonic() - asked_at)
        sock.sendto(answer(query, is_known=True), client)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.77", 53))
        print("listens", flush=True)
        while True:
            query, client = sock.recvfrom(4096)
            if mode == "unknown":
                sock.sendto(answer(query, is_known=False), client)
                tell(0)
            elif mode == "late":
                threading.Timer(float(seconds[0]), send_late, (time.monotonic(), query, client)).start()
            else:
                tell("never")


main(*sys.argv[1:])
