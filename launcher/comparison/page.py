"""The report as one page of HTML: nothing is loaded from anywhere, no script, every value escaped.

It follows the reader's dark or light, fits a phone, and can be used by keyboard: what scrolls can be focused, what
opens is a `details`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from launcher.comparison.findings import Finding
from launcher.comparison.page_style import STYLE
from launcher.comparison.plots import bar, duration, latency_curves
from launcher.comparison.sketches import Sketch
from launcher.comparison.slowness import Slowness
from launcher.comparison.statistics import bootstrap, quantiles_of_differences
from launcher.comparison.verdict import LEAST_PAIRS, MISMATCHES, PERCENTS, CandidateVerdict, Verdict

_WORDS = {
    "same": "no difference was found",
    "differs": "it answers differently",
    "slower": "it is slower",
    "differs+slower": "it answers differently, and it is slower",
    "too_few": f"too few pairs for a verdict: {LEAST_PAIRS} are needed",
    "no_baseline": "there is no baseline to compare with",
}
_FOOTER = (
    "Made by traffic-duplicator. It holds no values of the answers: paths, types, lengths, and digests with a key that "
    "was thrown away."
)
_MISMATCH_NAMES = {"status": "status", "headers": "headers", "body": "body"}
_MOST_ENDPOINTS, _MOST_NOISE, _MOST_STATUSES = 60, 60, 12


def render_page(report: Mapping[str, Any]) -> str:
    """The whole page."""
    verdict = Verdict(report)
    title = "Comparison of answers"
    body = [
        f"<header><h1>{title}</h1><p>{_scope(verdict)}</p></header><main>",
        *map(_word, verdict.candidates),
        *_outputs(verdict),
        *(part for candidate in verdict.candidates for part in _candidate(candidate)),
        "</main>",
        f"<footer><p>{_FOOTER}</p></footer>",
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src "
        'data:">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><link rel="icon" href="data:,"><title>{title}</title><style>{STYLE}</style></head><body>'
        f"{''.join(body)}</body></html>\n"
    )


def _scope(verdict: Verdict) -> str:
    report = verdict.report
    ending = "The run has ended." if report["final"] else "The run goes on."
    return (
        f"{verdict.compared:,} requests were answered by all and compared within {report['seconds']:,.0f} s "
        f"({verdict.coverage:.1%} of all; {verdict.dropped:,} dropped, {verdict.baseline_failed:,} not answered by the "
        f"baseline). {ending}"
    )


def _word(candidate: CandidateVerdict) -> str:
    kind = candidate.word.partition("+")[0]
    return (
        f'<p class="verdict v-{kind}"><span class="role">{escape(candidate.name)}</span>: '
        f"<strong>{escape(_WORDS[candidate.word])}</strong></p>"
    )


def _outputs(verdict: Verdict) -> Iterable[str]:
    for warning in verdict.warnings:
        yield f'<p class="warning">{escape(warning)}</p>'
    rows = []
    curves = []
    for output in verdict.report["outputs"]:
        sketch = Sketch.decode(output["latency"])
        curves.append((output["role"], sketch))
        failed = sum(count for label, count in output["answers"].items() if not label.isdigit())
        rows.append([
            escape(output["role"]), escape(output["destination"]), f"{sketch.count:,}", f"{failed:,}",
            *(duration(sketch.percentile(percent)) if sketch.count else "–" for percent in PERCENTS),
            duration(sketch.most),
        ])  # fmt: skip
    yield "<section><h2>Latency</h2>"
    described = "; ".join(f"{name}: half within {duration(sketch.percentile(50))}" for name, sketch in curves)
    yield latency_curves(curves, f"Share of the answers that came within a time. {described}")
    heads = ["role", "destination", "answers", "no answer", "p50", "p95", "p99", "longest"]
    yield _table("Destinations", heads, rows, {2, 3, 4, 5, 6, 7})
    yield "</section>"


def _candidate(candidate: CandidateVerdict) -> Iterable[str]:
    if not candidate.has_baseline:
        return
    yield f'<section><h2><span class="role">{escape(candidate.name)}</span> beside the baseline</h2>'
    yield _figures(candidate)
    yield from _findings(candidate)
    yield from _endpoints(candidate)
    yield from _statuses(candidate)
    yield from _noise(candidate)
    yield "</section>"


def _figures(candidate: CandidateVerdict) -> str:
    rows = []
    for kind in MISMATCHES:
        share = candidate.mismatch(kind)
        low, high = share.interval
        rows.append([
            f"{_MISMATCH_NAMES[kind]} mismatch", f"{share.value:.3%}", f"{low:.3%} to {high:.3%}",
            f"{candidate.noise_mismatch(kind):.3%}", f"{share.total:,}",
        ])  # fmt: skip
    count = f"{candidate.overall.candidate.count:,}"
    for percent, (low, high) in zip(PERCENTS, candidate.ratio_intervals, strict=False):
        rows.append([
            f"p{percent}, by the baseline's", f"{candidate.ratio(percent):.3f}", f"{low:.3f} to {high:.3f}",
            _or_dash(candidate.noise_ratio(percent), "{:.3f}".format), count,
        ])  # fmt: skip
    shares = tuple(percent / 100 for percent in PERCENTS)
    differences = quantiles_of_differences(shares)
    intervals = bootstrap(candidate.sample, differences)
    noise = differences(candidate.noise_sample) if candidate.noise_sample else [None] * len(shares)
    for percent, value, (low, high), other in zip(
        PERCENTS, differences(candidate.sample), intervals, noise, strict=False
    ):
        rows.append([
            f"p{percent} of what it took longer", duration(value), f"{duration(low)} to {duration(high)}",
            _or_dash(other, duration), f"{len(candidate.sample):,} drawn",
        ])  # fmt: skip
    heads = ["figure", "value", "95 % interval", "baselines", "n"]
    if not candidate.has_noise_baseline:
        del heads[3]
        rows = [[*row[:3], row[4]] for row in rows]
    said = "<p>Baselines: how the second one differs from the first, which is no version's doing.</p>"
    table = _table(f"Figures of {candidate.name}", heads, rows, {*range(1, len(heads))})
    return said * candidate.has_noise_baseline + table


def _or_dash(value: float | None, shown: Callable[[float], str]) -> str:
    return "–" if value is None else shown(value)


def _findings(candidate: CandidateVerdict) -> Iterable[str]:
    yield f"<h3>Differences ({len(candidate.findings)})</h3>"
    if not candidate.findings:
        yield "<p>None that is more than noise.</p>"
    for number, finding in enumerate(candidate.findings, start=1):
        yield _finding(finding, f"Examples of difference {number} of {candidate.name}")
    if left_out := candidate.facts["differences_left_out"]:
        yield f"<p>{left_out:,} rarer ones are not shown.</p>"


def _finding(finding: Finding, caption: str) -> str:
    examples = [_example(example) for example in finding.examples]
    heads = ["request", "time", "baseline", "candidate"]
    inner = _table(caption, heads, examples, set()) if examples else "<p>No example was kept.</p>"
    return (
        f'<details><summary><code>{escape(finding.endpoint)}</code> <span class="where">{escape(finding.where)}</span> '
        f'{escape(finding.how)} <span class="share">{finding.times:,} of {finding.pairs:,} ({finding.share:.2%})</span>'
        f"</summary>{inner}</details>"
    )


def _example(example: Mapping[str, Any]) -> list[str]:
    names = (("request_id", "X-Request-Id"), ("trace_id", "trace"), ("record", "record"))
    found = [f"{shown} <code>{escape(str(example[name]))}</code>" for name, shown in names if example.get(name)]
    when = _clock_time(example.get("unix_ms"))
    return [found[0] if found else "–", when, _side(example["baseline"]), _side(example["candidate"])]


def _side(side: Mapping[str, Any]) -> str:
    facts = [escape(str(side["answer"]))]
    if "bytes" in side:
        facts += [f"{int(side['bytes']):,} bytes", f"digest <code>{escape(str(side['digest']))}</code>"]
        facts += [duration(float(side["us"]))]
    return ", ".join(facts)


def _clock_time(unix_ms: object) -> str:
    if not isinstance(unix_ms, int) or not 0 <= unix_ms < 2**42:
        return "–"
    from datetime import datetime, timezone

    moment = datetime.fromtimestamp(unix_ms / 1000, timezone.utc)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _endpoints(candidate: CandidateVerdict) -> Iterable[str]:
    shown = candidate.endpoints[:_MOST_ENDPOINTS]
    by_name = {each["name"]: each for each in candidate.facts["endpoints"]}
    yield f"<h3>Endpoints ({len(by_name)})</h3><p>Those that became slower first, then by the median difference.</p>"
    rows = [_endpoint(each, by_name[each.endpoint]) for each in shown]
    heads = ["endpoint", "pairs", "median difference", "p50", "p95", "p99", "status", "header", "body"]
    yield _table(f"Endpoints of {candidate.name}", heads, rows, {*range(1, len(heads))}, "endpoints")
    if left_out := candidate.facts["endpoints_left_out"]:
        yield f"<p>{left_out:,} with fewer requests are not shown.</p>"


def _endpoint(each: Slowness, facts: Mapping[str, Any]) -> list[str]:
    base = max(each.baseline.percentile(50), 1.0)
    change = each.median_difference / base
    mark = f' <strong class="bad">{escape(each.how)}</strong>' if each.is_slower else ""
    times = [
        f"<span>{duration(each.baseline.percentile(percent))} →</span> "
        f"<span>{duration(each.candidate.percentile(percent))}</span>"
        for percent in PERCENTS
    ]
    of = {"body": facts["pairs"] - facts["untold"]}
    mismatches = [_less(facts["mismatches"][kind], of.get(kind, facts["pairs"])) for kind in MISMATCHES]
    return [
        f"<code>{escape(each.endpoint)}</code>{mark}", f"{facts['pairs']:,}",
        duration(each.median_difference) + bar(change, f"{change:+.0%} of the baseline's median"), *times, *mismatches,
    ]  # fmt: skip


def _less(counts: Sequence[int], pairs: int) -> str:
    times = max(0, counts[0] - counts[1])
    return f"{times / pairs:.2%}" if times and pairs else "0"


def _statuses(candidate: CandidateVerdict) -> Iterable[str]:
    counts = {(one, two): count for one, two, count in candidate.facts["statuses"]}
    rows_of = sorted({one for one, _ in counts})[:_MOST_STATUSES]
    columns = sorted({two for _, two in counts})[:_MOST_STATUSES]
    most = max(counts.values(), default=1)
    rows = []
    for one in rows_of:
        row = [f"<strong>{escape(one)}</strong>"]
        for two in columns:
            count = counts.get((one, two), 0)
            kind = "none" if not count else "agree" if one == two else "differ"
            depth = 1 if count * 1000 < most else 2 if count * 20 < most else 3
            row.append(f'<span class="cell {kind} d{depth}">{count:,}</span>')
        rows.append(row)
    yield "<h3>Statuses</h3><p>Rows: the baseline's. Columns: the candidate's.</p>"
    yield _table(f"Statuses of {candidate.name}", ["baseline", *map(escape, columns)], rows, {*range(1, 99)})


def _noise(candidate: CandidateVerdict) -> Iterable[str]:
    rare = [each for each in candidate.noise if each.is_too_rare]
    usual = [each for each in candidate.noise if not each.is_too_rare]
    for places, title, what in (
        (rare, "Too rare", "differ in the candidate only, but too seldom to be sure"),
        (usual, "Noise", "differ, but not for the version"),
    ):
        if places:
            rows = [
                [_code(each.endpoint), _code(each.where), escape(each.how), f"{each.times:,}"]
                for each in places[:_MOST_NOISE]
            ]
            yield f"<details><summary>{title}: {len(places)} places that {what}</summary>"
            yield _table(f"{title}, of {candidate.name}", ["endpoint", "place", "how", "times"], rows, {3})
            yield "</details>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[int], kind: str = "") -> str:
    """`rows` are HTML already; the first cell of each names it."""
    head = "".join(
        f'<th scope="col"{_number(place in numbers)}>{text}</th>'
        for place, text in enumerate(heads)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{cell}</th>' if not place else f"<td{_number(place in numbers)}>{cell}</td>"
            for place, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    label = escape(caption)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table class="{kind}"><caption '
        f'class="hidden">{label}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _number(is_number: bool) -> str:
    return ' class="n"' if is_number else ""
