"""The changes: one place of a module each, made by mutmut in a copy of the code.

All changes of a function stand beside it in the copy; which of them runs is said while it runs. So nothing is started
or imported anew for a change, and a changed module imports as it did before.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.data import LineSpan
from mutmut.mutation.file_mutation import mutate_file_contents

_NUMBER = re.compile(r"__mutmut_(\d+|orig)\b")
_PROPERTY = re.compile(r"^ +@property\n(?= +def (\w+)\((?![\s\S]*@\1\.setter))", re.MULTILINE)  # that is only read
_GENERATED_NAME = re.compile(r"\bx(?:_|ǁ(?:\w*ǁ)?)(\w+?)__mutmut_(?:\d+|orig)\b")


@dataclass(frozen=True)
class Change:
    """One change. `name` is mutmut's, of the function that has it: with its module, and what tells the change."""

    name: str
    old: str
    new: str

    @property
    def function_name(self) -> str:
        """mutmut's name of the function that is changed, with its module."""
        return _NUMBER.sub("", self.name)

    @property
    def module(self) -> str:
        return self.name.rpartition(".")[0].removeprefix("launcher.")

    @property
    def place(self) -> str:
        """What people call the function: `framing.Framer.receive`."""
        return f"{self.module}.{re.sub('^x(_|ǁ)', '', self.function_name.rpartition('.')[2]).replace('ǁ', '.')}"

    def __str__(self) -> str:
        return f"{self.place}: {self.old} -> {self.new}"


def copy_code(root: Path, work: Path, names: Sequence[str]) -> None:
    """What is worked on: these files and folders of `root`."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / ".gitignore").write_text("*\n")
    for name in names:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, work / name, ignore=shutil.ignore_patterns("__pycache__", "seeds"))
        else:
            shutil.copy(source, work / name)


def change_module(work: Path, module: str) -> list[Change]:
    """Puts into the copy at `work` every change of `launcher/<module>.py`, and says what they are."""
    path = work / "launcher" / f"{module.replace('.', os.sep)}.py"
    source = path.read_text()
    mutated = mutate_file_contents(str(path), _PROPERTY.sub("", source))
    path.write_text(f"{mutated.code}\n{''.join(_properties(source))}")
    lines = mutated.code.splitlines()
    return [_change(module, name, lines, mutated.line_span_by_function_name) for name in mutated.mutant_names]


def _properties(source: str) -> Iterator[str]:
    """Lines that make properties again of those that mutmut gets to see as methods: it leaves out what is decorated."""
    for found in _PROPERTY.finditer(source):
        owner = re.findall(r"^class (\w+)", source[: found.start()], re.MULTILINE)[-1]
        yield f"{owner}.{found[1]} = property({owner}.{found[1]})\n"


def _change(module: str, name: str, lines: Sequence[str], spans: Mapping[str, LineSpan]) -> Change:
    original = _NUMBER.sub("__mutmut_orig", name)
    old, new = (_source(lines, spans[each]) for each in (original, name))
    diff = list(difflib.unified_diff(old, new, lineterm="", n=0))[2:]
    removed, added = (" ".join(line[1:].strip() for line in diff if line[0] == sign) for sign in "-+")
    return Change(f"launcher.{module}.{name}", removed, added)


def _source(lines: Sequence[str], span: LineSpan) -> list[str]:
    return [_GENERATED_NAME.sub(r"\1", line) for line in lines[span.start - 1 : span.end]]
