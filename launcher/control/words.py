"""The words of `--control`, and of the body of POST /control: what is to change, and to what."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.options import per_second, percent

FORMS = "on, off, sample PERCENT, rate N or rate off"
_MOST_SHOWN = 40  # characters of what was not understood


@dataclass(frozen=True)
class Change:
    """One change of the live controls."""

    what: str  # on, off, sample, rate
    value: float | None = None  # percent for sample; copies a second for rate, None: no limit

    def __str__(self) -> str:
        """The words that ask for it."""
        if self.what in ("on", "off"):
            return self.what
        return f"{self.what} {'off' if self.value is None else f'{self.value:.15g}'}"


def parse_change(text: str) -> Change:
    """Reads `on`, `off`, `sample 10`, `rate 50` or `rate off`. A ValueError completes "--control must be ..."."""
    words = text.lower().split()
    if words in (["on"], ["off"]):
        return Change(words[0])
    if len(words) == 2 and words[0] == "sample":
        return Change("sample", _number(percent, words, "sample followed by"))
    if words == ["rate", "off"]:
        return Change("rate")
    if len(words) == 2 and words[0] == "rate":
        return Change("rate", _number(per_second, words, "rate followed by off or"))
    shown = text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."
    raise ValueError(f"{FORMS}, not {shown!r}")


def _number(convert: object, words: list[str], sentence: str) -> float:
    assert callable(convert)
    try:
        value: float = convert(words[1][:_MOST_SHOWN])
    except ValueError as error:
        raise ValueError(f"{sentence} {error}") from None
    return value
