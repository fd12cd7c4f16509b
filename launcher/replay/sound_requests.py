"""Whether a record that others have made holds exactly one request. Pure.

What the launcher copies was cut by its framer. Files, other gors and a middleware may bring anything: two requests in
one record, a body longer or shorter than its head says, lengths that can be read in two ways. Sent on a connection
that is kept, each of them would have the destination read a request that no filter has seen and no counter counted
(request smuggling, CWE-444), or take another copy's head for its body.
"""

from __future__ import annotations

from launcher.framing import Body, End, Framer, Head, Unframed


def request_fault(request: bytes) -> str | None:
    """What is wrong with these bytes as one request, for people and without any of them; None for nothing."""
    framer = Framer(max_head_bytes=len(request) + 1)
    ends = 0
    for event in framer.receive(request):
        if isinstance(event, Unframed):
            return f"it holds no request that everybody reads alike ({event.reason})"
        if isinstance(event, Head) and ends:
            return _MORE
        if isinstance(event, End):
            ends += 1
        else:
            assert isinstance(event, (Head, Body)), "there is no other event before the end of the bytes"
    if not ends:
        return "its request is cut short"
    return _MORE if framer.held_bytes else None


_MORE = "more follows behind the end of its request"
