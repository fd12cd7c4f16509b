"""--output-http-track-response behind the launcher: every answer is in the file, and the account balances."""

from __future__ import annotations

from pathlib import Path

from launcher.replay.record_format import SEPARATOR, identity
from tests.system import accounts
from tests.system.launched import Product
from tests.system.load import mixed_requests, send_all
from tests.system.sink import command, sink


def test_each_copys_answer_is_written_beside_it(product: Product, tmp_path: Path) -> None:
    requests = mixed_requests(200)
    (tmp_path / "gor.options").write_text(
        f"--output-http-track-response --output-file '{tmp_path}/copies.gor' --output-file-append\n"
    )
    with sink(tmp_path / "copies") as destination:
        options = ["--gor-options", str(tmp_path / "gor.options"), "--to", destination.url, "--replayer", "builtin"]
        with product.launch(options, command(tmp_path / "app")) as launched:
            launched.wait_until_listening()
            send_all(launched.port, requests)
            destination.wait_for(len(requests))
            launched.stop()  # it balances: `Launched` sees to that
            assert accounts.outcomes(launched, destination.url) == {"received": 200, "2xx": 200}
            final = [each for each in launched.facts("output") if "final" in each]
            [file] = [each for each in final if each["destination"].startswith("file:")]
            assert (file["received"], file["responses"], file["written"]) == ("400", "200", "400")
    records = (tmp_path / "copies.gor").read_bytes().split(SEPARATOR)[:-1]
    asked = {identity(record) for record in records if record.startswith(b"1 ")}
    answered = [identity(record) for record in records if record.startswith(b"3 ")]
    assert len(answered) == len(asked) == 200
    assert set(answered) == asked
