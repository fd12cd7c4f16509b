"""gor's filters, rewriters and limits, in words. Pure: options in, sentences out; values as they may be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from launcher.destinations import Limit, split_limit
from launcher.gor.flags import GorOption, is_output

# What narrows down which requests become copies, and what changes a copy: `{}` is the value as it may be shown.
_FILTERS: Mapping[str, tuple[str, str]] = MappingProxyType({  # -> before and between several values
    "http-allow-method": ("only the methods ", " and "),
    "http-allow-url": ("only URLs in which this is found: ", " or "),
    "http-disallow-url": ("no URLs in which this is found: ", " or "),
    "http-allow-header": ("only requests with a header in which this is found: ", " and "),
    "http-disallow-header": ("no requests with a header in which this is found: ", " or "),
    "http-basic-auth-filter": ("only requests whose user and password fit ", " and "),
    "http-header-limiter": ("the same users in or out, by a header's hash: ", " and "),
    "http-param-limiter": ("the same users in or out, by a parameter's hash: ", " and "),
})
_CHANGES: Mapping[str, str] = MappingProxyType({
    "http-set-header": "the header is set: {}",
    "http-set-param": "the parameter is set: {}",
    "http-rewrite-url": "URLs are rewritten: {}",
    "http-rewrite-header": "the header is rewritten: {}",
})
_SWITCHES: Mapping[str, str] = MappingProxyType({
    "http-original-host": "Host stays what the client sent",
    "split-output": "each copy goes to one output only, in turn",
    "prettify-http": "compressed and chunked bodies are decoded",
})


def filters(options: Sequence[GorOption]) -> list[str]:
    """Which requests gor's options leave; one sentence a flag."""
    values = {name: [option.shown for option in options if option.name == name] for name in _FILTERS}
    return [before + between.join(values[name]) for name, (before, between) in _FILTERS.items() if values[name]]


def changes(options: Sequence[GorOption]) -> list[str]:
    """What gor's options do to each copy."""
    return [sentence for option in options if (sentence := _change(option))]


def others(options: Sequence[GorOption]) -> list[GorOption]:
    """The options that are in no other answer here: no output, filter or change."""
    return [each for each in options if not (is_output(each) or each.name in _FILTERS or _change(each))]


def limit_of(option: GorOption) -> str:
    """What an output's own limit means; empty if it has none."""
    try:
        _, limit = split_limit(option.value)
    except ValueError:
        return ""
    return _limit(limit) if limit is not None else ""


def _change(option: GorOption) -> str:
    if option.name in _CHANGES:
        return _CHANGES[option.name].format(option.shown)
    return _SWITCHES.get(option.name, "") if option.value == "true" else ""


def _limit(limit: Limit) -> str:
    return f"{limit.amount} % of the copies, by lot" if limit.is_percent else f"at most {limit.amount} copies a second"
