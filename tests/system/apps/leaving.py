"""An app that answers one client only, and closes its door before each answer; it ends with that client.

It opens the door again when the client sends something more. SIGTERM is nothing to it: it goes on in that way.
"""

from __future__ import annotations

import os
import signal
import socket

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def opened() -> socket.socket:
    return socket.create_server(("127.0.0.1", int(os.environ["PORT"])))


signal.signal(signal.SIGTERM, signal.SIG_IGN)
door = opened()
while True:
    client, _ = door.accept()
    if client.recv(65536):  # else one that only looked whether somebody listens
        break
while True:
    door.close()
    client.sendall(ANSWER)
    client.recv(65536)
    door = opened()
    if not client.recv(65536):
        break
