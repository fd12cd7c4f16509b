"""Nobody reads what the launcher says: clients are served all the same, and the launcher ends."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from tests.system.launched import Product
from tests.system.load import check_arrivals, mixed_requests, send_all
from tests.system.sink import command, journal, sink, wait_until

INTO_THE_PIPE = ["sh", "-c", 'pipe=$1; shift; exec "$@" >"$pipe" 2>"$pipe"', "sh"]
QUIET_APP = ["sh", "-c", 'exec "$@" >/dev/null 2>&1', "sh"]  # it would be stuck itself, with or without the launcher


def full_pipe(path: Path) -> list[int]:
    """A named pipe that takes no byte more. Its two ends; whoever opens it to write waits for nobody."""
    os.mkfifo(path)
    ends = [os.open(path, os.O_RDONLY | os.O_NONBLOCK), os.open(path, os.O_WRONLY | os.O_NONBLOCK)]
    with suppress(BlockingIOError):
        while True:
            os.write(ends[1], b"x" * 4096)
    with suppress(BlockingIOError):
        while True:
            os.write(ends[1], b"x")
    return ends


def test_a_log_that_nobody_reads_stops_no_client_and_no_shutdown(product: Product, tmp_path: Path) -> None:
    ends = full_pipe(tmp_path / "pipe")
    requests = mixed_requests(300)
    with sink(tmp_path / "copies") as destination:
        options = ["--stats-interval", "0.05", "--to", destination.url]
        app = [*QUIET_APP, *command(tmp_path / "app")]
        prefix = [*INTO_THE_PIPE, str(tmp_path / "pipe")]
        with product.launch(options, app, prefix=prefix, has_log=False) as launched:
            wait_until(lambda: not launched.is_refused(), "clients can connect")
            send_all(launched.port, requests, connections=8)
            assert launched.stop() == 128 + signal.SIGTERM
        check_arrivals(requests, journal(tmp_path / "app"), at="the app")
    for end in ends:
        os.close(end)
