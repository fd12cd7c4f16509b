"""What arrives from the built-in replayer is what arrives from the real gors, but for the documented differences."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from launcher.gor.binary import Gor
from launcher.records import request_of
from launcher.sampling import Peer, Sampler
from launcher.selection import SampleBy
from tests.replay import gor_cases
from tests.replay.gor_cases import CASES, Case
from tests.replay.gor_differences import DIFFERENCES, Comparable, comparable, expected, keeps_host
from tests.replay.gor_players import Arrivals, Play, name_of, ok, play_gor, play_ours, running_gor, sinks
from tests.replay.harness import ROOT

_pool = ThreadPoolExecutor(1)


def play_of(case: Case, words: Sequence[str]) -> Play:
    outputs = case.destinations + case.has_stdout
    return Play(
        words, list(case.records.values()), [case.marker] * (outputs if case.is_split else 1),
        case.destinations, case.has_stdout, case.is_split,
    )  # fmt: skip


@cache
def our_arrivals(number: int) -> tuple[Arrivals, list[str]]:
    """Played once for both gors, with the destinations' addresses made comparable."""
    case = CASES[number]
    return play_ours(play_of(case, case.words))


@cache
def unchanged_arrivals(outputs: tuple[str, ...], host: bool) -> tuple[Arrivals, list[str]]:
    """Without filters and rewriters: what gor does with methods that it doesn't know."""
    case = gor_cases.case(" ".join([*outputs, "--http-original-host" if host else ""]))
    return play_ours(play_of(case, case.words))


def outputs_of(case: Case) -> tuple[str, ...]:
    words = list(case.words)
    pairs = [words[at : at + 2] for at, word in enumerate(words) if word == "--output-http"]
    return tuple(word for pair in pairs for word in pair) + (("--output-stdout",) if case.has_stdout else ())


def settled(arrivals: Arrivals, urls: Sequence[str]) -> dict[str, list[list[bytes]]]:
    """With names in place of the destinations' addresses."""
    settled = {}
    for name, outputs in arrivals.items():
        settled[name] = [list(requests) for requests in outputs]
        for number, url in enumerate(urls):
            address, place = url.removeprefix("http://").encode(), b"destination%d" % number
            settled[name] = [[request.replace(address, place) for request in each] for each in settled[name]]
    return settled


def compared(theirs: Arrivals, ours: Arrivals, destinations: int) -> dict[str, list[list[Comparable | bytes]]]:
    """For gor 1.3; what goes to standard output stays as it is."""
    return {
        name: [
            [comparable(request, own) for request, own in zip(requests, owns, strict=False)]
            if number < destinations and len(requests) == len(owns) else list(requests)
            for number, (requests, owns) in enumerate(zip(outputs, ours[name], strict=True))
        ]
        for name, outputs in theirs.items() if name in ours
    }  # fmt: skip


def shown(case: Case) -> str:
    return re.sub(r" ?--output-http \{0\}$", "", " ".join(case.words)).replace("--http-", "") or "nothing"


@pytest.mark.parametrize("number", range(len(CASES)), ids=[shown(case) for case in CASES])
def test_what_arrives_is_what_gor_sends(gor: Gor, number: int, tmp_path: Path) -> None:
    case, release = CASES[number], "1.3" if gor.version >= (1, 3) else "1.2"
    if release == "1.3" and case.not_1_3:
        pytest.skip(f"gor 1.3 is known not to do that: {DIFFERENCES[case.not_1_3]}")
    playing = _pool.submit(our_arrivals, number)
    theirs = settled(*play_gor(play_of(case, case.gor_words or case.words), gor, tmp_path))
    ours, urls = playing.result()
    unchanged = {}
    if gor_cases.ODD_METHODS & case.records.keys():
        unchanged = settled(*unchanged_arrivals(outputs_of(case), keeps_host(case)))
    wanted = expected(case, release, settled(ours, urls), unchanged, [f"http://destination{n}" for n in range(9)])
    for name, difference in case.differs.items():
        assert difference in DIFFERENCES
        only, _, name = name.rpartition(" ")
        if only not in ("", release):
            continue
        assert theirs.pop(name, []) != wanted.pop(name, []), f"{difference} makes no difference to {name} any more"
    assert theirs.keys() == wanted.keys()
    if release == "1.2":
        assert theirs == wanted
    else:
        assert compared(theirs, wanted, case.destinations) == compared(wanted, wanted, case.destinations)


# ---- redirects -----------------------------------------------------------------------------------------------------


def jumping(request: bytes) -> bytes:
    """Answers /jump/STATUS/N with a redirect to N-1, down to 0."""
    match = re.match(rb"[A-Z]+ (?:http://[^/ ]+)?/jump/([0-9]+)/([1-9]) ", request)
    if not match:
        return ok(request)
    place = b"/jump/%s/%d" % (match[1], int(match[2]) - 1)
    return b"HTTP/1.1 %s Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (match[1], place)


@pytest.mark.parametrize("follows", [0, 1, 2, 5])
def test_redirects_are_followed_as_far(gor: Gor, follows: int, tmp_path: Path) -> None:
    """gor 1.3 needs one more for the same, and adds a Referer; as with ours, a GET follows a POST after 301 to 303."""
    is_1_3 = gor.version >= (1, 3)
    words = ["--output-http", "{0}", "--output-http-redirects"]
    play = replace(play_of(gor_cases.case(""), words), records=list(gor_cases.REDIRECTED.values()), answer=jumping)
    given = follows + 1 if is_1_3 and follows else follows
    theirs = settled(*play_gor(replace(play, words=[*words, str(given)]), gor, tmp_path))
    ours = settled(*play_ours(replace(play, words=[*words, str(follows)])))
    assert theirs.keys() == ours.keys() == gor_cases.REDIRECTED.keys()
    for name, ((requests,), (own,)) in ((name, (theirs[name], ours[name])) for name in ours):
        assert len(own) == 1 + min(follows, 3), name
        if is_1_3 and name in ("post-307", "post-308"):
            assert len(requests) == 1, "what has a body can't be sent again: gor has no copy of it"
        elif is_1_3:
            targets = [[each.split(b" HTTP/")[0] for each in sent] for sent in (requests, own)]
            assert targets[0] == targets[1]
            assert all(b"\r\nReferer: " in each for each in requests[1:])
        elif name.startswith("get") or name in ("post-307", "post-308", "head-302"):
            assert requests == own
        else:  # 1.2 sends the POST again, whatever the status
            assert [each[:5] for each in requests] == [b"POST "] * len(requests)
            assert [each[:4] for each in own[1:]] == [b"GET "] * (len(own) - 1)


# ---- the launcher's own --sample-by --------------------------------------------------------------------------------

USERS = [*(f"user-{number}" for number in range(300)), *map(str, range(300)), "a b", "\u00e9", "=", "x" * 1000,
         *(f"203.0.113.{number}" for number in range(100)), "Bearer abc.def", '"quoted; twice"']  # fmt: skip


@pytest.mark.parametrize("percent", [1, 10, 50, 99])
def test_the_launcher_chooses_the_users_that_gor_chooses(gor: Gor, percent: int, tmp_path: Path) -> None:
    records = [
        gor_cases.record(f"n{number}", "GET /", gor_cases.HOST, f"X-User:  {user} ")
        for number, user in enumerate(USERS)
    ]
    words = ["--output-http", "{0}", "--http-header-limiter", f"X-User:{percent}%"]
    arrivals, _ = play_gor(Play(words, records, [gor_cases.marker("GET /")]), gor, tmp_path)
    sampler = Sampler(SampleBy("header", "x-user"), draw=lambda: pytest.fail("each has a key"))
    ours = {name_of(record) for record in records if sampler.takes(request_of(record), Peer(), percent)}
    assert arrivals.keys() == ours
    assert 0 < len(ours) < len(USERS)


# ---- limits by rate and by share: what passes is left to chance or to the clock --------------------------------------

COUNT = 2000
# Eight standard deviations of the binomial distribution around 30 %: less than 1 run in 10^14 lies outside.
LOW, HIGH = 436, 764


def limited_play(limit: str, count: int) -> Play:
    records = [gor_cases.record(f"n{number}", f"GET /{number}", gor_cases.HOST) for number in range(count)]
    return Play(["--output-http", "{0}|" + limit], records, [])


def test_a_share_passes_within_chance(gor: Gor, tmp_path: Path) -> None:
    play = limited_play("30%", COUNT)
    with sinks(play) as (sink,), running_gor(gor, play.placed([sink]), play.records, tmp_path):
        sink.wait_for(lambda requests: len(requests) >= LOW)
    assert len(sink.requests) <= HIGH
    assert LOW <= len(play_ours(play)[0]) <= HIGH


def test_a_rate_passes_so_many_a_second(gor: Gor, tmp_path: Path) -> None:
    """From a burst, its first ones: ten, from 1.3 nine. More only if a slow machine takes a second for 300 records."""
    play = limited_play("10", 300)
    first = [f"n{number}" for number in range(9 if gor.version >= (1, 3) else 10)]
    with sinks(play) as (sink,), running_gor(gor, play.placed([sink]), play.records, tmp_path):
        sink.wait_for(lambda requests: len(requests) >= len(first))
    assert [name_of(request) for request in sink.requests][: len(first)] == first
    started = time.monotonic()
    ours = list(play_ours(play)[0])
    assert ours[:10] == [f"n{number}" for number in range(10)]
    assert len(ours) <= 10 * (1 + int(time.monotonic() - started))


# ---- why some option sets are not compared with gor 1.3 ------------------------------------------------------------


def test_gor_1_3_sends_all_to_the_last_of_several_destinations(gor: Gor, tmp_path: Path) -> None:
    play = replace(limited_play("", 12), words=["--output-http", "{0}", "--output-http", "{1}"], destinations=2)
    copies = [0, 24] if gor.version >= (1, 3) else [12, 12]
    with sinks(play) as reached, running_gor(gor, play.placed(reached), play.records, tmp_path):
        for sink, count in zip(reached, copies, strict=True):
            sink.wait_for(lambda requests, count=count: len(requests) >= count)  # type: ignore[misc]
        assert [len(sink.requests) for sink in reached] == copies


def test_gor_1_3_gives_the_middleware_a_turn(gor: Gor, tmp_path: Path) -> None:
    play = replace(limited_play("", 12), words=["--output-http", "{0}", "--output-null", "--split-output"])
    turns = range(2, 12, 3) if gor.version >= (1, 3) else range(1, 12, 2)
    with sinks(play) as (sink,), running_gor(gor, play.placed([sink]), play.records, tmp_path):
        sink.wait_for(lambda requests: len(requests) >= len(turns))
    assert [name_of(request) for request in sink.requests] == [f"n{number}" for number in turns]


def test_there_are_at_least_sixty_option_sets() -> None:
    assert len({tuple(case.words) for case in CASES}) >= 60


def test_every_difference_is_documented() -> None:
    rows = re.findall(r"^\| (.*?) \|", (ROOT / "docs/replayer.md").read_text(), re.MULTILINE)
    cells = "\n".join(rows)
    assert [name for name, words in DIFFERENCES.items() if words not in cells] == []
