"""`python -m launcher`, and how an unpacked launcher starts itself again: by this file's path, isolated."""

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launcher.cli import main

if __name__ == "__main__":
    sys.exit(main())
