"""A small shop in two versions, for `demo --compare`. The new one has three regressions; both have the usual noise."""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
from typing import Any

from serving import Handler, Server

NAMES = ("tea", "cup", "spoon", "kettle", "honey", "lemon", "sugar")
SLOW_SECONDS = 0.025


class Shop(Handler):
    """The version that runs now."""

    def answer(self) -> None:
        self.read_body()
        time.sleep(random.uniform(0.001, 0.003))
        kind, _, number = self.path.strip("/").partition("/")
        body = getattr(self, kind, self.nothing)(int(number or 0))
        noise = {"request": str(uuid.uuid4()), "at": time.time()}
        self.send(json.dumps({**body, **noise}).encode(), "application/json")

    def products(self, number: int) -> dict[str, Any]:
        return {"id": number, "name": NAMES[number % len(NAMES)], "price": 2.5 + number % 10}

    def users(self, number: int) -> dict[str, Any]:
        return {"id": number, "is_active": number % 4 != 0, "cart": [number % 5, number % 7]}

    def search(self, number: int) -> dict[str, Any]:
        return {"found": [self.products(number + more) for more in range(5)], "total": 5}

    def nothing(self, number: int) -> dict[str, Any]:
        return {"error": "there is nothing here"}


class NewShop(Shop):
    """The next one: a wrong status for some users, a price that became a text, a slow search."""

    def send(self, body: bytes, content_type: str) -> None:
        if self.path.startswith("/users/") and self.path.endswith("3"):
            self.send_error(500, "Internal Server Error")
        else:
            super().send(body, content_type)

    def products(self, number: int) -> dict[str, Any]:
        return {**super().products(number), "price": f"{2.5 + number % 10:.2f}"}

    def search(self, number: int) -> dict[str, Any]:
        time.sleep(SLOW_SECONDS)
        found = [Shop.products(self, number + more) for more in range(5)]
        return {"found": found, "total": 5}


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), NewShop if sys.argv[2:] == ["new"] else Shop).serve_forever()
