"""The built-in replayer: a process of its own that speaks gor's options and tells what became of every copy."""

from launcher.replay.cli import main

__all__ = ["main"]
