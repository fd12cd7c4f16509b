"""How long the built file takes to start, as a ratio to a bare Python of the same kind in the same run.

    python3 bench/start.py [ROUNDS]

The two are started in turns, `FILE --version` and `python3 -I -S -c ''`, after one start of each that isn't counted
(the file unpacks itself at its first). The ratio is of the medians; the times themselves mean little on a busy machine.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "dist" / "start-traffic-duplicator.pyz"
CONTESTANTS = {
    "bare python": [sys.executable, "-I", "-S", "-c", ""],
    "the file": [sys.executable, "-I", "-S", "-u", str(FILE), "--version"],
}


def seconds(command: list[str]) -> float:
    started_at = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started_at


def main() -> int:
    if not FILE.exists():
        print(f"Error: {FILE} is missing: run python3 build.py", file=sys.stderr)
        return 1
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    taken: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for number in range(rounds + 1):
        for name, command in CONTESTANTS.items():
            duration = seconds(command)
            if number:
                taken[name].append(duration)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    for name, times in taken.items():
        print(f"{name:<12} median {medians[name] * 1000:6.1f} ms, {min(times) * 1000:.1f} to {max(times) * 1000:.1f}")
    print(f"ratio        {medians['the file'] / medians['bare python']:6.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
