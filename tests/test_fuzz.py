"""The fuzz targets without atheris: their seeds hold, they find planted defects, and the command says what it can't."""

from __future__ import annotations

import importlib
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest

from fuzz import responses as fuzz_responses
from fuzz.__main__ import NOT_HERE, SEEDS, TARGETS, dictionary, seed_files
from fuzz.runs import Run, append, read, run_of, table
from launcher import copied_head, framing, http_grammar, mirror, selector
from launcher.comparison import page
from launcher.control import words as control_words
from launcher.http_grammar import Framing, judge_framing
from launcher.replay import (
    frames,
    heads,
    hex_lines,
    modifiers,
    record_files,
    record_format,
    recorded_answers,
    responses,
)
from launcher.replay.comparison import bodies, endpoints, headers, judging, recorder

ROOT = Path(__file__).resolve().parent.parent
NO_ATHERIS = "import runpy, sys; sys.modules['atheris'] = None; runpy.run_module('fuzz', run_name='__main__')"


def fuzz(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """`build.py fuzz` on a Python that atheris has no wheel for."""
    command = [sys.executable, "-c", NO_ATHERIS, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def check_seeds(name: str) -> None:
    target = importlib.import_module(f"fuzz.{name}")
    for data in target.seeds().values():
        target.check(data)


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_in_the_repository_are_those_that_the_tables_make(name):
    """`python3 build.py fuzz --write-seeds` makes them anew."""
    assert {path.name: path.read_bytes() for path in (SEEDS / name).iterdir()} == seed_files(name)


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_breaks_no_promise(name):
    check_seeds(name)
    importlib.import_module(f"fuzz.{name}").check(b"")


def drops_a_byte(framer, data, position, events):
    events.append(framing.Body(data[position : position + 1]))
    return framing.Framer._end(framer, events) or len(data)


def leaves_the_first(*head):
    framed = judge_framing(*head)
    return framed._replace(body_length=0) if isinstance(framed, Framing) else framed


@pytest.mark.parametrize(
    ("name", "module", "attribute", "defect"),
    [
        ("framer", framing.Framer, "_read_sized", drops_a_byte),
        ("framer", http_grammar, "judge_framing", leaves_the_first),
        ("framer", framing.Framer, "skip", lambda framer, nbytes: []),
        ("framer", framing.Framer, "receive_eof", lambda framer: []),
        ("tap", mirror.RequestTap, "_release", lambda tap: setattr(tap, "_request", None)),
        ("tap", selector.Selector, "skips", lambda self, head, body_bytes, peer: "skipped_sample"),
        ("tap", copied_head, "_without_hop", lambda raw, marked: raw),
        ("responses", responses, "_framing", lambda head: (0, False, frozenset())),
        ("responses", fuzz_responses, "MOST_SECONDS", 0),
        ("frames", frames.FrameReader, "next_frame", lambda reader: None),
        ("records", record_format, "request_fault", lambda request: None),
        ("records", record_format.RecordReader, "receive_eof", lambda reader: []),
        ("record_files", record_files, "_in_order", lambda items, depth: itertools.islice(items, 1)),
        ("hex_lines", hex_lines, "request_fault", lambda request: None),
        ("hex_lines", hex_lines.HexLines, "receive_eof", lambda lines: lines.receive(b"\n")),
        ("control", control_words.Change, "__str__", lambda change: "off"),
        ("bodies", judging, "decoded", lambda body, coding: body),
        ("bodies", bodies, "_is_same", lambda value, other, depth, walk: value == other),
        ("bodies", bodies, "shown_key", lambda key: key),
        ("bodies", bodies, "MAX_PATHS", 1000),
        ("headers", headers, "_meaning", lambda name, value: b""),
        ("endpoints", endpoints, "_part", unquote),
        ("endpoints", endpoints, "_LONGEST_KNOWN", 300),
        ("endpoints", endpoints.Endpoints, "_collapse", lambda learned, before: None),
        ("comparison", recorder, "_NO_NOISE", None),
        ("comparison", recorded_answers.Witness, "ended", lambda witness, *ended: None),
        ("comparison", page, "escape", lambda text: text),
        ("modifiers", modifiers, "set_header_rule", lambda text: (b"X", b"a\r\n\r\nb")),
        ("modifiers", heads, "replaced", lambda text, span, new: text[: span[0]] + new + b"\r\nX: y" + text[span[1] :]),
    ],
)
def test_a_planted_defect_is_found_by_the_seeds_alone(
    name: str, module: object, attribute: str, defect: Callable[..., object], monkeypatch: pytest.MonkeyPatch
):
    importlib.import_module(f"fuzz.{name}")  # before: it takes bounds of the module's
    monkeypatch.setattr(module, attribute, defect)
    with pytest.raises(AssertionError):
        check_seeds(name)


def test_a_python_that_atheris_has_no_wheel_for_is_told_so():
    result = fuzz("framer")
    assert result.returncode == NOT_HERE
    assert result.stderr.startswith("Error: atheris has no wheel for Python 3.") and result.stderr.count("\n") == 1


def test_an_input_is_tried_again_without_atheris(tmp_path: Path):
    file = tmp_path / "crash-1"
    file.write_bytes(bytes(8) + b"GET / HTTP/1.1\r\n\r\n")
    result = fuzz("framer", "--input", file)
    assert (result.returncode, result.stdout) == (0, f"-----> fuzz framer: {file} breaks no promise\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["framers"], "there is no target framers"),
        (["--seconds", "0"], "--seconds must be 1 or more"),
        (["--input", "crash-1"], "--input needs the one TARGET that it is for"),
    ],
)
def test_wrong_usage_is_refused_in_words(words: list[str], error: str):
    result = fuzz(*words)
    assert result.returncode == 2
    assert result.stderr.endswith(f"error: {error}\n")


def test_a_dictionary_has_one_word_a_line_in_the_form_of_libfuzzer():
    assert dictionary([b"A: b\r\n", b'"\\\xff']) == '"A: b\\x0d\\x0a"\n"\\x22\\x5c\\xff"\n'


def test_the_outcome_is_what_libfuzzer_says_last():
    log = (
        "#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 30Mb\n"
        "#4096\tpulse  cov: 286 ft: 900 corp: 190/20Kb lim: 100 exec/s: 2000 rss: 45Mb\n"
        "stat::number_of_executed_units: 60108\n"
    )
    assert str(run_of("framer", log)) == "60,108 executions, coverage 286, corpus 190"
    assert str(run_of("framer", "")) == "0 executions, coverage 0, corpus 0"


def test_the_table_adds_up_what_the_runs_came_to(tmp_path: Path):
    file = tmp_path / "runs.jsonl"
    assert read(file) == []
    for target, executions, coverage, found in (("tap", 1000, 50, 0), ("framer", 500, 70, 0), ("tap", 2000, 60, 1)):
        append(file, Run(target, "2026-11-27T12:00:00Z", 1800, executions, coverage, 7, found))
    assert table(read(file), ("framer", "tap", "records")) == (
        "| target | executions | minutes | coverage | corpus |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `framer` | 500 | 30 | 70 | 7 |\n"
        "| `tap` | 3,000 | 60 | 60 | 7 |\n"
        "\nIn all: 3,500 executions in 1.5 hours; 1 input broke a promise.\n"
    )
