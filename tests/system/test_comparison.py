"""The built file compares two versions while it copies: the app notices nothing, log and page say what differs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from tests.system.launched import Launched, Product, app
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
            live = ask(product, launched, "--report", "--json")
            while json.loads(live.stdout)["sets"].get("compared", 0) < 150 if live.returncode == 0 else True:
                assert live.returncode == 0 or "not yet" in live.stderr
                live = ask(product, launched, "--report", "--json")
            assert "candidate: " in ask(product, launched, "--report").stdout
            checked = ask(product, launched, "--report", "--check", "status_mismatch<1% pairs>1000")
            assert (checked.returncode, checked.stdout) == (1, "")
            assert "ok: candidate: status_mismatch<1% (0)\nFAILED: candidate: pairs>1000 (150)" in checked.stderr
            assert ask(product, launched, "--report", "--html", str(tmp_path / "live.html")).returncode == 0
            assert (tmp_path / "live.html").read_text().startswith("<!DOCTYPE html>")
            launched.stop()
            [compared] = launched.facts("compared")
            assert (compared["verdict"], compared["pairs"], compared["coverage"]) == ("same", "150", "100.0%")
            assert launched.facts("report")[0]["file"] == str(page)
        check_arrivals(REQUESTS, two.arrivals(), at="the candidate")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert page.stat().st_mode & 0o777 == 0o600


def ask(product: Product, launched: Launched, *words: str) -> subprocess.CompletedProcess[str]:
    """What the running launcher says when it is asked."""
    return subprocess.run(
        [product.file, *words, "--port", str(launched.port)], env=launched.environ, capture_output=True, text=True
    )


def test_report_without_a_launcher_or_with_wrong_words_says_so(product: Product, tmp_path: Path) -> None:
    for words, status, said in (
        (["--report", "--pid", "1"], 1, "Error: "),
        (["--report", "--check", "speed<1"], 2, "Error: --check must be checks of"),
        (["--html", "x"], 2, "Error: --html and --check go with --report"),
        (["--report", "--status"], 2, "Error: --report stands alone"),
    ):
        finished = product.run(words)
        assert (finished.status, finished.log.startswith(said)) == (status, True), finished.log


def test_the_demo_finds_exactly_the_three_regressions_that_are_planted(product: Product) -> None:
    demo = Path(__file__).resolve().parents[2] / "demo" / "demo.py"
    shown = subprocess.run(
        [sys.executable, str(demo), str(product.file), "--compare"], capture_output=True, text=True, timeout=120
    )
    assert (shown.returncode, shown.stdout.count("\nok ")) == (0, 3), shown.stdout


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
