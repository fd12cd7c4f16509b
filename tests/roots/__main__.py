"""Makes the roots that are missing, and says what it does: a step of the gate."""

from __future__ import annotations

import sys
import time

from tests.roots.debian import RECIPES, SID, CannotMake, provide


def main(arguments: list[str]) -> int:
    """With `--missing` it only names those that are not there."""
    failed = 0
    if arguments == ["--missing"]:
        for recipe in RECIPES:
            if not recipe.folder.exists():
                print(f"there is no root {recipe.name}, of Debian's {recipe.suite}")
        return 0
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
    sys.exit(main(sys.argv[1:]))
