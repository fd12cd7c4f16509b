"""The parts of the comparison by themselves: pairing, bodies, headers, endpoints, differences, the report's bounds."""

from __future__ import annotations

import gzip
import json
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.comparison.report import MAX_REPORT_BYTES, encode_report
from launcher.mirror_queue import Budget
from launcher.replay.comparison import bodies, differences, endpoints, looking, pairing
from launcher.replay.comparison.answers import no_answer
from launcher.replay.comparison.bodies import Undecodable, decoded, is_ignored, json_differences
from launcher.replay.comparison.differences import Differences
from launcher.replay.comparison.endpoints import Endpoints, shape_of
from launcher.replay.comparison.headers import header, header_differences
from launcher.replay.comparison.json_values import MAX_PARSED_BYTES, parsed
from launcher.replay.comparison.judging import Ignored, judge
from launcher.replay.comparison.pairing import Pairing
from tests.comparison.answers import BASELINE, CANDIDATE, fill, new_comparison, record
from tests.linear import assert_linear, traced_memory

# ---- pairing


def test_answers_are_paired_in_any_order_and_their_bodies_let_go():
    comparison = new_comparison()
    records = [record(number, "/a") for number in range(50)]
    ends = [(role, number) for role in range(3) for number in range(50)]
    random.Random(1).shuffle(ends)
    for role, number in ends:
        comparison.ended(role, records[number], fill(comparison.new_answer(), {"n": number}))
    assert comparison.sets() == {"compared": 50, "unpaired": 0, "waiting": 0}
    assert comparison.budget.used_bytes == 0


def test_more_sets_than_may_wait_lose_the_oldest_counted(monkeypatch):
    monkeypatch.setattr(pairing, "MAX_WAITING", 10)
    complete = []
    pairs = Pairing(2, 1000, lambda each, answers: complete.append(each))
    budget = Budget(1000)
    for number in range(25):
        pairs.add(b"%d" % number, 0, b"", no_answer(budget, "refused"), 0.0)
    assert (len(pairs), pairs.unpaired) == (10, 15)
    pairs.add(b"24", 1, b"", no_answer(budget, "refused"), 0.0)
    assert len(complete) == 1


def test_requests_that_wait_have_a_bound_in_bytes_and_lose_the_oldest_counted():
    """A recording may have no answer to any of them."""
    pairs = Pairing(2, 1000, lambda each, answers: None)
    budget = Budget(1000)
    for number in range(25):
        pairs.add(b"%d" % number, 0, b"1 " + bytes(98), no_answer(budget, "refused"), 0.0)
    assert (len(pairs), pairs.unpaired) == (10, 15)
    pairs.add(b"24", 1, b"1 " + bytes(98), no_answer(budget, "refused"), 0.0)
    pairs.add(b"large", 0, b"1 " + bytes(2000), no_answer(budget, "refused"), 0.0)
    assert (len(pairs), pairs.unpaired) == (0, 25)
    for number in range(25):  # recorded answers are in the bodies' budget
        pairs.add(b"%d" % number, 0, b"2 " + bytes(998), no_answer(budget, "refused"), 0.0)
    assert len(pairs) == 25
    for number in range(25):
        pairs.add(b"%d" % number, 1, b"1 " + bytes(98), no_answer(budget, "refused"), 0.0)
    assert (len(pairs), pairs.unpaired, pairs.record_bytes) == (0, 25, 0)


def test_sets_that_wait_too_long_are_let_go_counted():
    pairs = Pairing(2, 1000, lambda each, answers: None)
    budget = Budget(1000)
    pairs.add(b"old", 0, b"", no_answer(budget, "refused"), 0.0)
    pairs.add(b"new", 0, b"", no_answer(budget, "refused"), 100.0)
    pairs.tick(pairing.MAX_AGE_SECONDS + 1)
    assert (len(pairs), pairs.unpaired) == (1, 1)


def test_a_second_answer_of_the_same_output_is_counted_and_not_compared():
    comparison = new_comparison()
    each = record(1)
    comparison.ended(0, each, fill(comparison.new_answer(), 1))
    comparison.ended(0, each, fill(comparison.new_answer(), 2))
    report = comparison.report(final=True)
    assert (report["repeated"], report["sets"]["unpaired"]) == (1, 1)
    assert comparison.budget.used_bytes == 0


def test_bodies_that_find_no_room_are_still_known_to_be_equal_or_not():
    comparison = new_comparison(max_bytes=1000)
    for number, last in enumerate((b"x", b"y")):
        each = record(number, "/large")
        for role, end in enumerate((b"x", b"x", last)):
            comparison.ended(role, each, fill(comparison.new_answer(), b"a" * 5000 + end, pieces=7))
    [candidate] = comparison.report(final=True)["candidates"]
    assert candidate["bodies"] == {"equal": 1, "bytes": 1}
    assert comparison.budget.used_bytes == 0


def test_heads_that_wait_share_the_bodies_room():
    """A candidate's of 60 KB each, while the baseline is slow, would take a gigabyte."""
    comparison = new_comparison(max_bytes=(share := 1 << 20))
    with traced_memory() as traced:
        for number in range(300):
            answer = fill(comparison.new_answer(), b"", headers={"X-Filling": f"{number:060000}"})
            comparison.ended(BASELINE, record(number), answer)
        assert traced()[1] < 2 * share
    assert share // 2 < comparison.budget.used_bytes <= share
    comparison.report(final=True)
    assert comparison.budget.used_bytes == 0


@pytest.mark.parametrize("body", [b"a", b"b"])
def test_a_head_that_found_no_room_is_not_called_different(body):
    comparison = new_comparison(max_bytes=500)
    for role in range(3):
        headers = {"Content-Encoding": "gzip", "Set-Cookie": "a" * 600} if role == CANDIDATE else {}
        comparison.ended(role, record(1), fill(comparison.new_answer(), body if role else b"a", headers=headers))
    [candidate] = comparison.report(final=True)["candidates"]
    assert candidate["bodies"] == {"equal" if body == b"a" else "no_room": 1}
    assert candidate["mismatches"] == {"status": [0, 0], "headers": [0, 0], "body": [0, 0]}
    assert comparison.budget.used_bytes == 0


@pytest.mark.parametrize(("filling", "differing"), [(100, [1, 1]), (9000, [1, 0])])
def test_long_heads_are_compared_in_the_time_for_looking_only(filling, differing, monkeypatch):
    """Heads of 64 KB take 30 ms, and a destination may have each answer be such a one."""
    comparison = new_comparison()
    spent = []
    monkeypatch.setattr(comparison._looking, "spent", spent.append)
    found = []
    for number, may_look in enumerate((True, False)):
        monkeypatch.setattr(comparison._looking, "may_look", lambda may_look=may_look: may_look)
        for role in range(3):
            headers = {"X-Filling": "x" * filling, "Vary": "a" if role == CANDIDATE else "b"}
            comparison.ended(role, record(number), fill(comparison.new_answer(), b"a", headers=headers))
        [candidate] = comparison.report()["candidates"]
        found.append(candidate["mismatches"]["headers"][0] - sum(found))
    assert found == differing
    assert len(spent) == (2 if filling > 1000 else 0)


def test_an_answer_without_room_has_its_status_nevertheless():
    comparison = new_comparison(max_bytes=0)
    for role, status in enumerate((200, 200, 404)):
        comparison.ended(role, record(1), fill(comparison.new_answer(), b"a", status=status))
    [candidate] = comparison.report(final=True)["candidates"]
    assert candidate["mismatches"]["status"] == [1, 0]
    assert comparison.budget.used_bytes == 0


def test_five_megabytes_of_json_are_looked_into():
    comparison = new_comparison(max_bytes=64 << 20)
    body = {"items": [{"id": number, "name": "x" * 40} for number in range(80_000)]}
    changed = {"items": [*body["items"][:-1], {"id": "79999", "name": "x" * 40}]}
    for role, each in enumerate((body, body, changed)):
        comparison.ended(role, record(1, "/large"), fill(comparison.new_answer(), each, pieces=80))
    [candidate] = comparison.report(final=True)["candidates"]
    [found] = candidate["differences"]
    assert (found["where"], found["how"]) == ("$.items[].id", "type number → string")


def test_what_there_is_no_time_to_look_into_is_skipped_before_anything_is_known_of_it():
    wall, processor = [0.0], [0.0]
    comparison = new_comparison(clock=lambda: wall[0], processor_clock=lambda: processor[0])

    def add(number: int) -> None:
        for role in range(3):
            comparison.ended(role, record(number, "/a"), fill(comparison.new_answer(), {"n": [role, number]}))

    comparison._looking.spent(looking.MOST_CREDIT_SECONDS + 0.1)
    add(1)
    wall[0] += 1.0  # 20 ms
    add(2)
    processor[0] += 2.0
    wall[0] += 1.0  # 5 % of the processor time, less what was spent
    add(3)
    [candidate] = comparison.report(final=True)["candidates"]
    assert candidate["bodies"] == {"skipped": 2, "json": 1}


# ---- bodies


@pytest.mark.parametrize(("one", "two", "expected"), [
    ({"a": 1}, {"a": 1.0}, set()),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, set()),
    ({"a": True}, {"a": 1}, {("$.a", "type boolean → number")}),
    ({"a": [True]}, {"a": [1]}, {("$.a[]", "type boolean → number")}),
    ({"a": {"b": [0, {"c": False}]}}, {"a": {"b": [0, {"c": 0}]}}, {("$.a.b[].c", "type boolean → number")}),
    ({"a": None}, {"a": "x"}, {("$.a", "type null → string")}),
    ({"a": 1}, {}, {("$.a", "missing")}),
    ({}, {"a": 1}, {("$.a", "extra")}),
    ([1, 2], [1, 2, 3], {("$", "length")}),
    ([1, 2], [2, 1], {("$", "order")}),
    ([1, 2], [1, 3], {("$[]", "value")}),
    ({"ada@example.com": 1}, {"ada@example.com": 2}, {("$.{key}", "value")}),
    ({"user_12345": 1}, {"user_12345": 2}, {("$.{key}", "value")}),
    ({"line1": 1, "@id": 2}, {"line1": 2, "@id": 3}, {("$.line1", "value"), ("$.@id", "value")}),
    ({"t": "2026-01-01T00:00:00Z"}, {"t": "2026-01-01T00:00:01Z"}, {("$.t", "volatile")}),
    ({"t": 1767225600}, {"t": 1767225601}, {("$.t", "volatile")}),
    ({"t": 1767225600000}, {"t": 1767225601000}, {("$.t", "volatile")}),
    ({"t": 1767225600}, {"t": 1867225600}, {("$.t", "value")}),
    ({"t": "production-cluster"}, {"t": "development-server"}, {("$.t", "value")}),
    ("x", 1, {("$", "type string → number")}),
    ({"t": 4e9}, {"t": 4e9 - 1}, {("$.t", "value")}),
    (json.loads("[NaN, 1]"), json.loads("[NaN, 1]"), set()),
    ([float("inf")], [1], {("$[]", "value")}),
    ([1], [-float("inf")], {("$[]", "value")}),
    ([10**4000], [1.5], {("$[]", "value")}),
    (float("nan"), float("nan"), set()),
])  # fmt: skip
def test_two_json_bodies_differ_by_path_and_kind(one, two, expected):
    assert json_differences(one, two) == expected


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(values)
def test_a_json_value_never_differs_from_itself(value):
    assert json_differences(value, json.loads(json.dumps(value))) == set()


@given(values, values)
def test_two_json_values_differ_exactly_if_their_texts_do(one, two):
    def text(value: object) -> str:
        return json.dumps(json.loads(json.dumps(value), parse_int=float), sort_keys=True).replace("-0.0", "0.0")

    if len(repr(one)) + len(repr(two)) < 400 and "e+" not in text([one, two]):
        assert bool(json_differences(one, two)) == (text(one) != text(two))


def test_deep_and_wide_json_is_cut_not_followed():
    deep: object = 1
    other: object = 2
    for _ in range(400):
        deep, other = [deep], [other]
    assert json_differences(deep, other)
    wide = {f"k{chr(97 + number % 26)}{chr(97 + number // 26)}": 1 for number in range(600)}
    for one, two in ((wide, dict.fromkeys(wide, 2)), (wide, {}), ({}, wide), ([wide], [dict.fromkeys(wide, 2)])):
        found = json_differences(one, two)
        assert bodies.MORE in found
        assert len(found) == bodies.MAX_PATHS + 1


def test_blanks_around_json_mean_nothing():
    baseline, candidate = (
        fill(new_comparison().new_answer(), data, headers={"Content-Type": "application/json"})
        for data in (b'\xef\xbb\xbf\r\n {"a": 1}', b'{"a": 1}\n')
    )
    assert judge(baseline, candidate, Ignored())[2:] == (set(), "json")


def test_a_pair_that_differs_in_many_places_makes_one_example(monkeypatch):
    """Its digests are of the whole bodies."""
    comparison = new_comparison()
    made = []
    monkeypatch.setattr(comparison, "_example", lambda *pair: made.append(pair) or {})
    for role in range(3):
        comparison.ended(role, record(1), fill(comparison.new_answer(), dict.fromkeys("abcdefgh", role // 2)))
    assert len(made) == 1
    assert len(comparison.report()["candidates"][0]["differences"]) == 8


def test_the_order_of_keys_means_nothing_however_deep():
    one, two = '{"a":' * 90 + '{"x":1,"y":[2]}' + "}" * 90, '{"a":' * 90 + '{"y":[2],"x":1}' + "}" * 90
    assert json_differences(json.loads(one), json.loads(two)) == set()
    assert json_differences([json.loads(one), True], [json.loads(two), 1])


def test_json_that_is_too_much_to_look_through_is_not_told(monkeypatch):
    monkeypatch.setattr(bodies, "MAX_NODES", 50)
    monkeypatch.setattr(bodies, "MAX_COMPARED_BYTES", 0)
    with pytest.raises(Undecodable):
        json_differences([1, [[2]] * 99], [1, [[2]] * 99])
    one, two = [{"a": 1, "b": [2]}] * 9, [{"b": [2], "a": 1}] * 9
    baseline, candidate = (fill(new_comparison().new_answer(), each) for each in (one, two))
    assert judge(baseline, candidate, Ignored()).bodies == "json"
    monkeypatch.setattr(bodies, "MAX_NODES", 5)
    assert judge(baseline, candidate, Ignored())[2:] == (set(), "too_large")


def test_what_whole_values_cost_to_compare_is_bounded(monkeypatch):
    """Each level would do it again with all that is below."""
    walks = []
    monkeypatch.setattr(bodies, "MAX_COMPARED_BYTES", 10_000)
    monkeypatch.setattr(bodies, "_Walk", lambda walk=bodies._Walk: walks.append(walk()) or walks[-1])
    one, two = ("[1," * 60 + f"[{'1,' * 1000}{last}]" + "]" * 60 for last in (1, 2))
    [(_, how)] = json_differences(json.loads(one), json.loads(two))
    assert how == "value"
    assert walks[0].compared_bytes < 10_000 + 20_000


def test_json_that_is_too_deep_to_parse_is_compared_by_its_bytes():
    comparison = new_comparison()
    text = b"[" * 200_000 + b"]" * 200_000
    one, two = (fill(comparison.new_answer(), body, headers={"Content-Type": "application/json"})
                for body in (text, text + b" "))  # fmt: skip
    assert judge(one, two, Ignored()).body == {("body", "value")}


def many(form, nbytes):
    """An array of about so many bytes: `form` again and again, each `#` the element's number."""
    elements = [form.replace("#", f"{number:x}") for number in range(nbytes // (len(form.replace("#", "00000")) + 1))]
    return f"[{','.join(elements)}]".encode()


# What takes many times its bytes of memory once it is parsed.
SPITEFUL_JSON = {
    "objects": lambda nbytes: many("{}", nbytes),
    "arrays": lambda nbytes: many("[]", nbytes),
    "arrays of one": lambda nbytes: many("[1]", nbytes),
    "arrays in arrays": lambda nbytes: many("[[[[]]]]", nbytes),
    "objects of one": lambda nbytes: many('{"a":1}', nbytes),
    "objects of one, all keys other ones": lambda nbytes: many('{"#":1}', nbytes),
    "objects in objects": lambda nbytes: many('{"a":{"a":{}}}', nbytes),
    "keys": lambda nbytes: b"[{" + many('"#":0', nbytes)[1:-1] + b"}]",
    "keys and texts": lambda nbytes: b"[{" + many('"#":"#"', nbytes)[1:-1] + b"}]",
    "texts": lambda nbytes: many('"#"', nbytes),
    "numbers": lambda nbytes: many("1e9", nbytes),
    "digits": lambda nbytes: many("1", nbytes),
    "a wide character": lambda nbytes: '["\N{ROCKET}{}"]'.replace("{}", "a" * nbytes).encode(),
    "an escaped one": lambda nbytes: b'["\\ud83d\\ude80' + b"a" * nbytes + b'"]',
    "wide characters": lambda nbytes: many('"\N{ROCKET}"', nbytes),
    "characters": lambda nbytes: many('"\N{LATIN SMALL LETTER A WITH MACRON}"', nbytes),
}


@pytest.mark.parametrize("make", SPITEFUL_JSON.values(), ids=SPITEFUL_JSON)
def test_what_parsed_json_takes_is_known_before(make):
    content = make(500_000)
    with traced_memory() as traced:
        kept = parsed(content, MAX_PARSED_BYTES)
        took = traced()[1]
    assert kept
    with pytest.raises(Undecodable):
        parsed(content, took // 2)


@pytest.mark.parametrize("value", [
    {"items": [{"id": number, "name": "an item of the list", "price": 1.5} for number in range(9000)]},
    [{"tags": ["a", f"b{number}"], "ok": True, "at": {"street": f"{number} High Street"}} for number in range(5000)],
    [[number, number * 1.5, "2026-01-01T00:00:00Z", None] for number in range(9000)],
])
def test_what_apps_write_is_not_thought_to_take_more_than_it_does(value):
    content = json.dumps(value).encode()
    with traced_memory() as traced:
        kept = parsed(content)
        took = traced()[1]
    assert parsed(content, took * 2) == kept


@pytest.mark.parametrize("make", SPITEFUL_JSON.values(), ids=SPITEFUL_JSON)
@pytest.mark.parametrize("nbytes", [300_000, 1_200_000])
def test_no_json_takes_more_memory_than_the_replayer_may(make, nbytes):
    """A gzip of 20 KB took 200 MB."""
    comparison = new_comparison(max_bytes=(share := 1 << 22))
    content = make(nbytes)
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    for role in range(3):
        said = content[:-1] + b" " * (role + 1) + content[-1:]
        answer = fill(comparison.new_answer(), gzip.compress(said), headers=packed)
        with traced_memory() as traced:
            comparison.ended(role, record(1), answer)
            took = traced()[1]
    assert took < 8 * share


def test_json_of_which_all_differs_is_looked_through_piece_by_piece():
    one, two = ({str(key): value for key in range(40_000)} for value in (1, 1.5))
    with traced_memory() as traced:
        json_differences(one, two)
        assert traced()[1] < 1_000_000


def test_elements_in_another_order_are_found_without_a_copy_of_each():
    one = [[number] for number in range(100_000)]
    with traced_memory() as traced:
        assert json_differences(one, one[::-1]) == {("$", "order")}
        assert traced()[1] < 1_000_000


@pytest.mark.parametrize(("coding", "pack"), [
    ("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("", bytes), ("identity", bytes),
    ("gzip", lambda body: gzip.compress(body[:3]) + gzip.compress(body[3:])),
    ("deflate", lambda data: zlib.compress(data, wbits=-15)),
])  # fmt: skip
def test_codings_are_undone(coding, pack):
    assert decoded(pack(b"hello" * 100), coding.encode()) == b"hello" * 100


@pytest.mark.parametrize(("body", "coding"), [
    (b"x", b"br"), (b"x", b"zstd"), (b"no gzip", b"gzip"), (gzip.compress(b"x") + b"y", b"gzip"),
    (zlib.compress(b"x") + b"y", b"deflate"), (gzip.compress(b"x" * 1000)[:-9], b"gzip"),
    (gzip.compress(bytes(bodies.MAX_DECODED_BYTES + 1)), b"gzip"),
])  # fmt: skip
def test_what_is_broken_too_large_or_in_another_coding_is_undecodable(body, coding):
    with pytest.raises(Undecodable):
        decoded(body, coding)


def test_what_is_packed_is_equal_whatever_the_level_and_in_however_many_members():
    comparison = new_comparison()
    text = json.dumps({"a": ["x"] * 500}).encode()
    members = gzip.compress(text[:90]) + gzip.compress(text[90:])
    first, *others = (
        fill(comparison.new_answer(), body, headers={"Content-Encoding": "gzip"})
        for body in (gzip.compress(text, 1), gzip.compress(text, 9), members)
    )
    assert [judge(first, other, Ignored())[2:] for other in others] == [(set(), "equal")] * 2
    more = fill(comparison.new_answer(), members + gzip.compress(b"z"), headers={"Content-Encoding": "gzip"})
    assert judge(first, more, Ignored()).body == {("body", "value")}


def test_what_is_packed_and_found_no_room_is_not_called_different_for_its_bytes():
    comparison = new_comparison(max_bytes=100)
    text = random.Random(1).randbytes(3000)
    one, two = (
        fill(comparison.new_answer(), gzip.compress(text, level), headers={"Content-Encoding": "gzip"})
        for level in (1, 9)
    )
    assert judge(one, one, Ignored()).bodies == "equal"
    assert judge(one, two, Ignored())[2:] == (set(), "no_room")


EMPTY_MEMBER = gzip.compress(b"", mtime=0)


@pytest.mark.parametrize("member", [EMPTY_MEMBER, gzip.compress(b"[1]", mtime=0)])
def test_members_without_end_are_not_looked_into(member):
    """Eight megabytes of empty ones took 40 s."""
    assert decoded(member * bodies.MAX_MEMBERS, b"gzip") == gzip.decompress(member) * bodies.MAX_MEMBERS
    with pytest.raises(Undecodable, match="too many"):
        decoded(member * (bodies.MAX_MEMBERS + 1), b"gzip")
    with pytest.raises(Undecodable, match="too many"):
        decoded(member * (bodies.MAX_DECODED_BYTES // len(member)), b"gzip")


@pytest.mark.parametrize("size", [20, 5000, 70_000])
def test_members_of_a_packed_body_take_linear_time(size, monkeypatch):
    monkeypatch.setattr(bodies, "MAX_MEMBERS", 1 << 20)
    member = gzip.compress(random.Random(1).randbytes(size), mtime=0)
    assert_linear(lambda nbytes: member * max(1, nbytes // len(member)), lambda body: decoded(body, b"gzip"), 4 << 20)


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
def test_what_grows_beyond_all_bounds_is_not_unpacked(coding):
    body = (gzip.compress if coding == b"gzip" else zlib.compress)(bytes(64 << 20))
    with traced_memory() as traced:
        with pytest.raises(Undecodable, match="too large"):
            decoded(body, coding)
        assert traced()[1] < 3 * bodies.MAX_DECODED_BYTES


def test_a_packed_body_that_is_broken_differs_from_a_sound_one_but_not_from_another():
    comparison = new_comparison()
    packed = gzip.compress(b"x" * 1000)
    sound, cut, worse = (
        fill(comparison.new_answer(), body, headers={"Content-Encoding": "gzip"})
        for body in (packed, packed[:-9], packed[:-10])
    )
    assert judge(sound, cut, Ignored()).body == {("body", "sound → broken")}
    assert judge(cut, sound, Ignored()).body == {("body", "broken → sound")}
    assert judge(cut, worse, Ignored())[2:] == (set(), "undecodable")


def test_a_body_in_brotli_is_equal_if_its_bytes_are_and_else_not_comparable():
    comparison = new_comparison()
    one, same, other = (
        fill(comparison.new_answer(), body, headers={"Content-Encoding": "br"}) for body in (b"a", b"a", b"b")
    )
    assert judge(one, same, Ignored()).bodies == "equal"
    assert judge(one, other, Ignored())[2:] == (set(), "undecodable")


def test_a_body_too_long_to_read_is_told_from_a_whole_one_only():
    comparison = new_comparison()
    whole, cut = (fill(comparison.new_answer(), b"x", is_whole=each) for each in (True, False))
    assert judge(whole, cut, Ignored()).body == {("body", "length")}
    assert judge(cut, cut, Ignored())[2:] == (set(), "too_large")


def test_an_ignored_path_has_all_that_is_below_it():
    ignored = frozenset({"$.meta", "$.items[].id"})
    assert [is_ignored(path, ignored) for path in ("$.meta", "$.meta.a", "$.meta[].a", "$.items[].id", "$.metal")] == [
        True, True, True, True, False,
    ]  # fmt: skip


# ---- headers


def head(*lines: str) -> bytes:
    return ("\r\n".join(["HTTP/1.1 200 OK", *lines]) + "\r\n\r\n").encode()


@pytest.mark.parametrize(("one", "two", "expected"), [
    (["Content-Type: text/html"], ["content-type: TEXT/HTML"], set()),
    (["Content-Type: text/html;charset=UTF-8"], ["Content-Type: text/html; charset=utf-8"], set()),
    (["Content-Type: text/html"], ["Content-Type: text/plain"], {("header:content-type", "value")}),
    (["Cache-Control: no-store"], [], {("header:cache-control", "missing")}),
    ([], ["Vary: Accept"], {("header:vary", "extra")}),
    (["Vary: Accept, Cookie"], ["Vary: cookie,accept"], set()),
    (["Date: a", "X-Runtime: 1", "Server: a"], ["Date: b", "X-Runtime: 2", "Server: b"], set()),
    (["Set-Cookie: s=1; Path=/; HttpOnly"], ["Set-Cookie: s=2; HttpOnly; Path=/"], set()),
    (["Set-Cookie: s=1; Path=/; HttpOnly"], ["Set-Cookie: s=1; Path=/"], {("header:set-cookie", "value")}),
    (["Location: http://a/users/1"], ["Location: http://b:81/users/2"], set()),
    (["Location: /users/1"], ["Location: /login"], {("header:location", "value")}),
    (["Vary: a", "vary:  A"], ["Vary: a", "Vary: a"], set()),
    (["Content-Type: text/html ; charset=\"UTF-8\""], ["Content-Type: text/html;charset=utf-8"], set()),
    (["Content-Type: text/html; charset=utf-8"], ["Content-Type: text/html"], {("header:content-type", "value")}),
    (["Set-Cookie: a=1", "Set-Cookie: b=1"], ["Set-Cookie: b=2", "Set-Cookie: a=2"], set()),
])  # fmt: skip
def test_two_heads_differ_in_what_their_authors_chose(one, two, expected):
    assert header_differences(head(*one), head(*two), frozenset()) == expected


@pytest.mark.parametrize("line", ["Content-Type: a{}b", "Location: b{}", "Location: /a{}b", "Vary: a{}b"])
@pytest.mark.parametrize("filling", [" ", "a", ";", "; charset", ","])
def test_a_head_of_64_kb_takes_no_quadratic_time(line, filling):
    """That would be half a minute."""
    heads = [head(line.format(filling * (60_000 // len(filling)) + end)) for end in ("x", "y")]
    assert len(header_differences(*heads, frozenset())) <= 1


def test_a_header_is_found_whatever_its_case_and_only_as_a_whole_name():
    assert header(head("X-Content-Type: no", "CONTENT-type:  a/b "), b"content-type") == b"a/b"
    assert header(head("X-Content-Type: no"), b"content-type") == b""


# ---- endpoints


@pytest.mark.parametrize(("path", "expected"), [
    ("/", "/"), ("/users/42/orders", "/users/{id}/orders"), ("/v1/users", "/v1/users"),
    ("/files/6f1c2a9e-7a53-4b5f-9d0e-2b8f6c1d3e4a", "/files/{uuid}"), ("/c/9f86d081884c7d65", "/c/{hex}"),
    ("/u/ada@example.com", "/u/{value}"), ("/u/ada%40example.com", "/u/{value}"), ("/index.html?x=1", "/index.html"),
    ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/..."), ("/2026/01/my-first-post-in-a-row", "/{id}/{id}/{value}"),
    ("/sign-in", "/sign-in"), ("/" + "x" * 99, "/{value}"),
])  # fmt: skip
def test_a_path_has_a_shape(path, expected):
    assert shape_of(path) == expected


def test_many_names_at_one_place_become_a_parameter_and_old_names_follow():
    learned = Endpoints()
    names = ["".join(random.Random(number).choices("abcdefgh", k=9)) for number in range(100)]
    first = learned.name(b"GET", f"/users/{names[0]}/posts".encode())
    for name in names:
        learned.name(b"GET", f"/users/{name}/posts".encode())
    assert learned.is_changed
    assert learned.canonical(first) == "GET /users/{value}/posts"
    learned.settle()
    assert learned.names == {"GET /users/{value}/posts"}
    assert learned.name(b"GET", b"/orders") == "GET /orders"


def test_names_that_change_while_others_are_looked_at_again_change_too(monkeypatch):
    monkeypatch.setattr(endpoints, "MAX_WORDS", 1)
    learned = Endpoints()
    given = [learned.name(b"GET", target) for target in (b"/a/c/x", b"/b/d/x")]
    learned.settle()
    given += [learned.name(b"GET", target) for target in (b"/a/e/x", b"/a/e/y")]
    renamed = learned.settle()
    assert {renamed.get(name, name) for name in given[2:]} == learned.names
    assert all(learned.canonical(name) == name for name in learned.names)
    assert not learned.is_changed


def test_the_number_of_endpoints_is_bounded():
    learned = Endpoints()
    for one in "abcdefghijklmnopqrstuvwxyz":
        for two in "abcdefghijklmnopqrstuvwxyz":
            learned.name(b"GET", f"/{one}/{two}".encode())
    assert len(learned.names) == endpoints.MAX_ENDPOINTS
    assert learned.name(b"PUT", b"/one/more") == endpoints.OTHERS


@pytest.mark.parametrize("form", ["{} /a/{}", "GET /{}/{}", "GET /%41{}/{}"])
def test_long_paths_and_methods_are_not_remembered(form):
    """Thousands of 64 KB each would be more than a replayer may have."""
    learned = Endpoints()
    with traced_memory() as traced:
        for number in range(500):
            learned.name(*form.format(f"{number:030000}", f"{number:030000}").encode().split(b" "))
        assert traced()[0] < 1_000_000


@pytest.mark.parametrize("piece", ["/", "/a", "%41", "1", "a", "-a", "f-", "/1", "?", "%"])
def test_a_long_path_has_its_shape_in_linear_time(piece):
    assert_linear(lambda nbytes: "/" + piece * (nbytes // len(piece)) + "\0", shape_of, 64_000)


def test_names_of_things_take_bounded_memory_wherever_they_stand(monkeypatch):
    monkeypatch.setattr(endpoints, "MAX_WORDS", 2)
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 5)
    learned = Endpoints()
    draw = random.Random(1)
    for _ in range(30_000):
        learned.name(b"GET", "".join(f"/{each}" for each in draw.choices("abcdefghij", k=8)).encode())
        if learned.is_changed:
            learned.settle()
    assert len(learned._words) + len(learned._collapsed) <= 5 * endpoints.MAX_DEPTH
    assert learned.name(b"GET", b"/a/b") in learned.names | {endpoints.OTHERS}


@given(st.binary(max_size=30), st.binary(max_size=200))
def test_any_request_has_a_name_that_can_be_shown(method, target):
    name = Endpoints().name(method, target)
    assert len(name) < 600
    assert name.isprintable()


def test_counts_follow_their_endpoints_when_names_become_a_parameter():
    comparison = new_comparison()
    for number in range(100):
        name = "".join(random.Random(number).choices("abcdefgh", k=9))
        for role in range(3):
            said = fill(comparison.new_answer(), {"a": "x" if role == 2 else "y"})
            comparison.ended(role, record(number, f"/users/{name}"), said)
    [candidate] = comparison.report(final=True)["candidates"]
    assert [(each["name"], each["pairs"]) for each in candidate["endpoints"]] == [("GET /users/{value}", 100)]
    [found] = candidate["differences"]
    assert (found["endpoint"], found["candidate_only"]) == ("GET /users/{value}", 100)


# ---- differences and the report's size


def test_the_rarest_differences_are_forgotten_first_counted(monkeypatch):
    monkeypatch.setattr(differences, "MAX_KEYS", 40)
    counted = Differences()
    for number in range(500):
        counted.add("GET /", {("$.often", "value"), (f"$.k{number}", "value")}, set(), dict)
    assert len(counted.counts) <= 40
    assert counted.counts["GET /", "$.often", "value"].candidate_only == 500
    assert counted.forgotten == 501 - len(counted.counts)


def test_a_report_of_a_very_large_app_fits_its_line():
    comparison = new_comparison()
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghij", k=28)) for _ in range(60)]
    for number in range(6000):
        path = f"/{words[number % 13]}/{words[number % 17]}/{words[number % 19]}"
        body = {words[draw.randrange(60)]: draw.random() for _ in range(8)}
        for role in range(3):
            said = fill(
                comparison.new_answer(), {**body, "v": role}, milliseconds=draw.lognormvariate(2, 2),
                status=draw.choice([200, 404, 500]),
            )  # fmt: skip
            comparison.ended(role, record(number, path), said)
    data = encode_report(lambda detail: comparison.report(final=True, detail=detail))
    assert 10_000 < len(data) <= MAX_REPORT_BYTES
