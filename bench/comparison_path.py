"""What a comparison costs on the app's path: a launcher whose three destinations have roles, and one whose have none.

    python3 bench/comparison_path.py [--starts N] [--pairs N]

side_by_side.py says how: two launchers with the same three destinations (one nginx), wrk in turns. All that compares
is in the replayer, so the launcher's own processor time must stay what it was. The goal: it changes by less than 3 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from contestants import Contestant, launcher, needs_file
from side_by_side import Missing, costs, report

MOST = 1.03
URL = "http://127.0.0.1:{sink}"
ROLES = ("baseline", "candidate", "baseline2")


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--starts", type=int, default=4, metavar="N", help="how often both are started (default: 4)")
    parser.add_argument("--pairs", type=int, default=20, metavar="N", help="pairs of rounds a start (default: 20)")
    arguments = parser.parse_args(argv)
    without = "\n".join(f"--output-http {URL}/{role}" for role in ROLES)
    compared = "\n".join(f"--output-http {role}={URL}/{role}" for role in ROLES)
    contestants = (
        Contestant(name, launcher(destinations=destinations), needs_file)
        for name, destinations in (("without", without), ("compared", compared))
    )
    try:
        pairs = costs(*contestants, starts=arguments.starts, pairs=arguments.pairs)
    except Missing as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0 if report(pairs, ("three destinations", "the same, compared"), MOST) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
