"""`--replay --help`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from launcher.gor.flags import FLAGS, Kind

_HEAD = """\
Usage: start-traffic-duplicator --replay OPTIONS...

The built-in replayer, run by hand: sends requests from its inputs on to its outputs, and tells what became of each.

  start-traffic-duplicator --replay --input-http :8081 --output-http http://next
  start-traffic-duplicator --replay --input-http '127.0.0.1:8081|10%' --to http://a --to http://b --stats-interval 10

The options are gor's, with one dash or two; sizes, numbers and durations are as gor reads them. Old names are
translated. At least one input and one output are needed; each --input-... ADDR and --output-... may be repeated.

"""

_TAIL = """
SIGTERM, SIGINT or SIGHUP stops the inputs; what is held is sent for at most 25 s more, then a summary says what became
of everything. A second SIGINT ends that at once. Exit status: 0; 1 if an input can't start, or a --check does not
hold; 2 for wrong words; 130 after a second SIGINT.
"""

_OWN = {
    "to [NAME=]URL": "short for --output-http URL; with names, candidate=URL and baseline=URL, answers are compared",
    "stats-interval SECONDS": "time between two sets of lines of counters on standard error; 0 turns them off "
    "(default: 60; with --output-http-stats what --output-http-stats-ms says)",
    "ignore PATH|HEADER": "does not count where answers are compared: a path in JSON with all below it, or a header",
    "keep-bodies N": "so many pairs of answers that differ are written, whole, to a private file",
    "report-file PATH": "where the comparison's report is written at the end: a page, or JSON if PATH ends so",
    "check EXPR": "what must hold of the comparison, such as 'status_mismatch<0.1% p95_ratio<1.2'; else the exit "
    "status is 1",
    "queue-memory SIZE": "bound on what all outputs together hold, in equal shares; what does not fit is counted as "
    "queue_full (default: 128MiB or an eighth of the memory limit, the smaller)",
}

MEANINGS: Mapping[str, str] = {
    "copy-buffer-size": "a larger request is not taken: --input-http answers 413 (default: 5mb)",
    "exit-after": "stops the inputs after this time, sends what is held, and ends with status 0",
    "http-original-host": "keeps the client's Host",
    "http-set-header": "'Name: value' in every copy, in place of the first such header or as a new one",
    "input-http": "listens here, answers every request at once with 200; :PORT, HOST:PORT or [::1]:PORT, with |10 "
    "behind it for 10 requests a second, |10% for a tenth",
    "middleware": "'PROGRAM ARG...', split at spaces: gets each record as a line of hex, and what it prints in the "
    "same form is what the outputs get; filters and rewriters come after it",
    "output-http": "a destination, http or https, with |10 or |10% behind it as above",
    "output-http-queue-len": "bound on waiting copies of each destination (default: none but --queue-memory)",
    "output-http-stats": "lines of counters every --output-http-stats-ms",
    "output-http-stats-ms": "milliseconds between them (default: 5000)",
    "output-http-timeout": "of a whole exchange, connecting included (default: 5s)",
    "output-http-response-buffer": "bound on an answer that is tracked (default: 1mb); larger ones are counted as "
    "untracked",
    "output-http-track-response": "hands each whole answer to the outputs that are no destinations, as a record of "
    "gor's type 3",
    "output-http-workers": "connections to each destination at most (default: 50)",
    "output-http-workers-min": "raises --output-http-workers",
    "output-null": "throws copies away, counted",
    "output-stdout": "writes records to standard output, in gor's form",
    "stats": "accepted: the lines of counters are there without it",
    "verbose": "1 tells each copy that failed, 2 each copy's end, 3 also each request as it comes in",
}


def help_text() -> str:
    """The whole text."""
    gors = {
        f"{name} {flag.kind.value.upper() if flag.kind is not Kind.MULTI else 'VALUE'}"
        if flag.kind is not Kind.BOOL
        else name: MEANINGS.get(name, "as gor's")
        for name, flag in FLAGS.items()
        if flag.builtin
    }
    return _HEAD + "".join(map(_paragraph, _OWN.items())) + "".join(map(_paragraph, sorted(gors.items()))) + _TAIL


def _paragraph(option: tuple[str, str]) -> str:
    name, meaning = option
    body = textwrap.fill(meaning, 100, initial_indent="      ", subsequent_indent="      ", break_on_hyphens=False)
    return f"  --{name}\n{body}\n"
