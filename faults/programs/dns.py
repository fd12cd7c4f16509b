"""A name server on 127.0.0.77: `dns.py unknown` knows no name, `dns.py silent` never answers. Says when it listens."""

from __future__ import annotations

import socket
import sys

_NXDOMAIN = b"\x81\x83"  # RFC 1035 §4.1.1: a response, recursion wanted and there, no such name


def main(mode: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.77", 53))
        print("listens", flush=True)
        while True:
            query, client = sock.recvfrom(4096)
            if mode == "unknown":
                question = query[12 : query.index(b"\0", 12) + 5]
                sock.sendto(query[:2] + _NXDOMAIN + b"\0\1\0\0\0\0\0\0" + question, client)


main(sys.argv[1])
