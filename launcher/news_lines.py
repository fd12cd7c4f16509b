"""The lines of what happened at destinations: in the launcher's log, and in that of a replayer run by hand."""

from __future__ import annotations

from launcher.account_lines import failure_facts, pause_facts, resume_facts
from launcher.log import log
from launcher.replay_protocol import DestinationFailed, DestinationNews, DestinationPaused


def log_news(news: DestinationNews) -> None:
    """One line."""
    if isinstance(news, DestinationFailed):
        log("destination-failed", level="warning", **failure_facts(news))
    elif isinstance(news, DestinationPaused):
        log("destination-paused", level="warning", **pause_facts(news))
    else:
        log("destination-resumed", **resume_facts(news))
