"""Makes the roots that are missing, and says what it does: a step of the gate."""

from __future__ import annotations

import sys
import time

from tests.roots.debian import RECIPES, SID, CannotMake, provide


def main() -> int:
    failed = 0
    for recipe in RECIPES:
        if recipe.folder.exists():
            continue
        started_at = time.monotonic()
        try:
            provide(recipe)
        except CannotMake as error:
            print(f" !     no root {recipe.name}: {error}", file=sys.stderr, flush=True)
            failed += recipe is not SID  # sid is not consistent every day
        else:
            print(f"       root {recipe.name}: {time.monotonic() - started_at:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
