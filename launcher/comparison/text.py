"""The report as text, for a terminal: the figures, what differs, what is slower, what is to be known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from launcher.comparison.plots import duration
from launcher.comparison.verdict import MISMATCHES, PERCENTS, CandidateVerdict, Verdict

_MOST = 20  # differences, and endpoints


def report_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The text, line by line. What is in it comes from outside: who prints it escapes what would move the cursor."""
    verdict = Verdict(report)
    yield (
        f"{verdict.compared:,} requests were answered by all and compared in {report['seconds']:,.0f} s "
        f"({verdict.coverage:.1%}; {verdict.dropped:,} dropped, {verdict.baseline_failed:,} lacked the baseline's)"
    )
    for output in report["outputs"]:
        yield f"  {output['role']:<12} {output['destination']}"
    for candidate in verdict.candidates:
        yield ""
        yield from _candidate(candidate)
    for warning in verdict.warnings:
        yield ""
        yield f"! {warning}"


def _candidate(candidate: CandidateVerdict) -> Iterator[str]:
    yield f"{candidate.name}: {candidate.word}  ({candidate.pairs:,} pairs)"
    if not candidate.has_baseline:
        return
    for kind in MISMATCHES:
        share = candidate.mismatch(kind)
        low, high = share.interval
        among = f"   baselines: {candidate.noise_mismatch(kind):.3%}" if candidate.has_noise_baseline else ""
        yield f"  {kind:<8} mismatch {share.value:>9.3%}   95 %: {low:.3%} to {high:.3%}{among}"
    for percent, (low, high) in zip(PERCENTS, candidate.ratio_intervals, strict=False):
        overall = candidate.overall
        before, after = (duration(each.percentile(percent)) for each in (overall.baseline, overall.candidate))
        ratio = candidate.ratio(percent)
        noise = candidate.noise_ratio(percent)
        among = f"   baselines: x {noise:.3f}" if noise is not None else ""
        yield f"  p{percent} {before:>9} → {after:<9} x {ratio:.3f}   95 %: {low:.3f} to {high:.3f}{among}"
    for finding in candidate.findings[:_MOST]:
        yield f"  differs  {finding.endpoint}: {finding.where} {finding.how}, {finding.times:,} of {finding.pairs:,}"
        names = ("request_id", "trace_id", "record")
        ids = [next(each[name] for name in names if each.get(name)) for each in finding.examples]
        if ids:
            yield f"           such as {', '.join(map(str, ids))}"
    if len(candidate.findings) > _MOST:
        yield f"  ... and {len(candidate.findings) - _MOST} more"
    for slower in candidate.slower[:_MOST]:
        yield f"  slower   {slower.endpoint}: {slower.how} ({slower.pairs:,} pairs)"
