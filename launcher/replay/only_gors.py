"""What of gor's only a real gor has, when the replayer runs by hand, and how to have it nevertheless.

Kafka since 0.16, its TLS since 1.2, binary since 1.1. A gor of 1.3 garbles records that it gets by TCP (its
input_tcp.go hands out a buffer that it then overwrites), so 1.2.0 is the one to send to.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from launcher.gor.flag_table import FLAGS, OLD_FORMS

_LISTEN = "add --output-tcp HOST:28020 to it, and give --input-tcp :28020 to this"
_CAPTURE = f"only a real gor captures packets (any release): {_LISTEN}"
_KAFKA_IN = f"only a real gor reads from Kafka (0.16 or later): {_LISTEN}"
_SEND = "start it with --input-tcp :28020, and give --output-tcp HOST:28020 to this"
_NO_TLS = "TLS between gors is only gor's (1.0 or later): use it at both ends, or a TLS tunnel between them"
_PROFILE = "it profiles a real gor (1.0 or later): leave it out"


def _output(what: str, release: str) -> str:
    return f"only a real gor {what} ({release} or later, but not 1.3, which garbles what it gets by TCP): {_SEND}"


_BY_PREFIX = (  # the first that fits counts
    ("input-raw", _CAPTURE),
    ("input-kafka", _KAFKA_IN),
    ("input-dummy", "it is a test input of a real gor (any release): use --input-file or --input-http"),
    ("input-tcp-", _NO_TLS),
    ("output-tcp-secure", _NO_TLS),
    ("output-tcp-skip-verify", _NO_TLS),
    ("output-kafka", _output("writes to Kafka", "0.16")),
    ("kafka-tls", _output("writes to Kafka with TLS", "1.2")),
    ("output-binary", _output("has the binary output", "1.1")),
    ("output-tcp-response-buffer", _output("has the binary output, whose setting this is", "1.1")),
    ("output-http-elasticsearch", _output("writes to Elasticsearch", "1.0")),
    ("output-file-buffer", _output("writes to S3, whose setting this is", "1.1")),
    ("prettify-http", "only a real gor (0.16 or later) decodes bodies: a copy here keeps the bytes that were sent"),
    ("recognize-tcp-sessions", "it needs the PRO edition of a real gor (1.1 or later): leave it out"),
    ("http-pprof", _PROFILE),
    ("cpuprofile", _PROFILE),
    ("memprofile", _PROFILE),
)


def _advice(name: str) -> str | None:
    return next((advice for prefix, advice in _BY_PREFIX if name.startswith(prefix)), None)


REFUSED: Mapping[str, str] = MappingProxyType({  # a flag -> what to do instead
    **{name: advice for name in FLAGS if (advice := _advice(name))},
    "input-raw-immediate-mode": _CAPTURE,
    **OLD_FORMS,
})
