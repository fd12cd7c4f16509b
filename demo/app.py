"""The demo's web app. It listens where PORT says, as apps on Heroku do, and answers with what it got."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os

from serving import Handler, Server

DOWNLOAD = bytes(range(256)) * 4096  # 1 MiB
WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
CLOSE_FRAME = 8


class App(Handler):
    """GET /download gives 1 MiB, a WebSocket gets its frames back, all else is told what the app got of it."""

    numbers = itertools.count(1)  # a request that reached the app twice shows in the numbers of those after it

    def answer(self) -> None:
        number = next(App.numbers)
        body = self.read_body()
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self.echo_frames()
        elif self.path == "/download":
            self.send(DOWNLOAD, "application/octet-stream")
        else:
            got = {"method": self.command, "target": self.path, "sha256": hashlib.sha256(body).hexdigest()}
            self.send(json.dumps({**got, "bytes": len(body), "number": number}).encode() + b"\n", "application/json")

    def echo_frames(self) -> None:
        """A WebSocket, as far as a demo needs one: frames of less than 126 bytes."""
        key = self.headers.get("Sec-WebSocket-Key", "") + WEBSOCKET_GUID
        self.send_response_only(101, "Switching Protocols")
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "websocket")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.close_connection = True
        while len(start := self.rfile.read(2)) == 2 and (length := start[1] & 0x7F) < 126:
            mask = self.rfile.read(4)
            payload = bytes(byte ^ mask[place % 4] for place, byte in enumerate(self.rfile.read(length)))
            self.wfile.write(bytes([start[0], len(payload)]) + payload)
            if start[0] & 0x0F == CLOSE_FRAME:
                break


if __name__ == "__main__":
    Server(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
