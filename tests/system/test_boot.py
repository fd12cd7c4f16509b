"""When clients can connect: `$PORT` opens when the app accepts, and follows it from then on."""

from __future__ import annotations

from tests.system.destination import Destination
from tests.system.launched import Product, app


def test_port_is_closed_until_the_app_listens_then_requests_reach_app_and_destination(product: Product) -> None:
    with Destination() as destination, product.launch(["--to", destination.url], app("controlled.py")) as launched:
        launched.wait_for_output("started")
        assert launched.is_refused()
        launched.tell("listen")
        launched.wait_until_listening()
        assert launched.http("GET", "/a?b=1").body == b"GET /a?b=1 0\n"
        [arrival] = destination.wait_for_arrivals(1)
        assert (arrival.method, arrival.target) == ("GET", "/a?b=1")
        launched.tell("exit 3")
        assert launched.wait() == 3
