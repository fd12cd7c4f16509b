"""One target in this process, under atheris: `python -m fuzz.once TARGET LIBFUZZER-ARGUMENTS...`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Hashable, Sequence

import atheris

NEWS = 1024  # slots of coverage for what `check` returns


def news_counters() -> list[Callable[[], None]]:
    """Functions that do nothing but count as covered once called. Coverage sees nothing inside a regular expression;
    so every outcome of its own kind is made to look like new code."""
    names: dict[str, Callable[[], None]] = {}
    exec("\n".join(f"def news_{number}(): pass" for number in range(NEWS)), names)
    return [atheris.instrument_func(names[f"news_{number}"]) for number in range(NEWS)]


def main(argv: Sequence[str]) -> None:
    with atheris.instrument_imports(include=["launcher"]):
        target = importlib.import_module(f"fuzz.{argv[1]}")
    news = news_counters()
    slots: dict[Hashable, int] = {}

    def check(data: bytes) -> None:
        outcome = target.check(data)
        news[slots.setdefault(outcome, len(slots)) % NEWS]()

    atheris.Setup([argv[0], *argv[2:]], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
