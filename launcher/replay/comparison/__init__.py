"""Compares the answers of destinations to the same request: what is gathered for the report, bounded in memory.

`answers` hold what came, `pairing` brings together what belongs together, `bodies` and `headers` tell two answers
apart, `endpoints` gives a request its route, `differences` counts which differ how often, `recorder` ties it together
and makes the report's JSON. No values leave: paths, types, lengths, digests and request ids only.
"""
