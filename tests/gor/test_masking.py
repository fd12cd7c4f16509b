"""What stands before the @ of a URL is nobody's to read, whatever the scheme and whatever else there is."""

from __future__ import annotations

import pytest

from launcher.gor.masking import without_credentials


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("curl http://user:secret@host/x", "curl http://***@host/x"),
        ("1http://user:secret@host", "1http://***@host"),
        ("HTTPS://us@er:se@cret@host", "HTTPS://***@host"),
        ("a=redis+tls://:secret@host b=amqp://u@host", "a=redis+tls://***@host b=amqp://***@host"),
        ("http://host/path@x mail@example.com", "http://host/path@x mail@example.com"),
        ("http://host?to=a@b", "http://host?to=a@b"),
        ("x" * 100_000 + "://secret@host", "x" * 100_000 + "://***@host"),  # in linear time
    ],
)
def test_credentials_of_a_url_are_masked_and_nothing_else(text: str, shown: str) -> None:
    assert without_credentials(text) == shown
