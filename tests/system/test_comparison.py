"""The built file compares two versions while it copies: the app notices nothing, log and page say what differs."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.system.launched import Product, app
from tests.system.load import check_arrivals, mixed_requests, send_all
from tests.system.sink import command, sink

REQUESTS = mixed_requests(150)


def test_two_versions_are_compared_and_the_page_is_written(product: Product, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with sink(tmp_path / "one") as one, sink(tmp_path / "two") as two:
        words = ["--to", f"baseline={one.url}", "--to", f"candidate={two.url}", "--report-file", str(page)]
        with product.launch(words, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            mirroring = launched.wait_for_line("mirroring")
            assert mirroring["replayer"] == "the built-in replayer"
            assert mirroring["because"] == "it compares answers"
            send_all(launched.port, REQUESTS)
            one.wait_for(150)
            two.wait_for(150)
            launched.stop()
            [compared] = launched.facts("compared")
            assert (compared["verdict"], compared["pairs"], compared["coverage"]) == ("same", "150", "100.0%")
            assert launched.facts("report")[0]["file"] == str(page)
        check_arrivals(REQUESTS, two.arrivals(), at="the candidate")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert page.stat().st_mode & 0o777 == 0o600


def test_names_with_gor_are_a_broken_configuration(product: Product, tmp_path: Path) -> None:
    words = ["--replayer", "gor", "--to", "candidate=http://127.0.0.1:1", "--strict"]
    finished = product.run(words, app("controlled.py"))
    assert finished.status == 2
    assert "only the built-in replayer compares answers" in finished.log


def test_a_report_that_can_not_be_written_changes_nothing_for_the_app(product: Product, tmp_path: Path) -> None:
    with sink(tmp_path / "two") as two:
        words = ["--to", f"candidate={two.url}", "--report-file", str(tmp_path / "no" / "folder.json")]
        with product.launch(words, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            launched.wait_for_line("mirroring")
            send_all(launched.port, REQUESTS[:20])
            two.wait_for(20)
            assert launched.stop() == 128 + signal.SIGTERM
            assert "No such file" in launched.facts("report-failed")[0]["error"]
