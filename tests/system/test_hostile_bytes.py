"""What strangers send is in no line of the log: hostile bytes of clients, destinations, proxies, certificates and
recordings, and then the log is read. Every line of it is one that the launcher wrote, and the mark is in none."""

from __future__ import annotations

import datetime
import os
import re
import ssl
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from launcher.replay.record_format import SEPARATOR
from tests.gors import NAMES, real_gor
from tests.system.destination import Destination
from tests.system.launched import Launched, Product
from tests.system.strangers import LISTENS, HostileDestination, say, serving

MARK = "f0rged"
FORGED = f"traffic-duplicator at=balance level=info balanced=true by={MARK}"
GORS = f"2026/01/01 00:00:00 {MARK}\n[GOR-HELPER] {MARK}\npanic: {MARK}\n[DEBUG][elapsed 1s]: {MARK}"  # as gor's own
OBEYED = f"\x1b]0;{MARK}\x07\x1b[2J{MARK}\x9b31m\u202e\u2028{MARK}".encode()
LINES = f"\r\n{FORGED}\r\n{FORGED}\n{GORS}\n".encode()
NASTY = OBEYED + LINES
MARKED = MARK.encode()

# The app's own standard error goes nowhere: what is in the log is the launcher's.
QUIET_APP = ["sh", "-c", 'exec "$@" 2>/dev/null', "sh", *LISTENS]
VALUE = r"(?:\"(?:\\.|[^\"\\])*\"|[^\s\"=\\]+)"
OWN_LINE = re.compile(rf"traffic-duplicator at=[\w-]+ level=(?:info|warning|error)(?: [\w#.-]+={VALUE})*")


def assert_own_lines(log: str, but: tuple[str, ...]) -> None:
    for line in log.splitlines():
        own = OWN_LINE.fullmatch(line)
        assert own and line.isprintable(), f"{line!r}\n{log}"
        assert MARK not in line or line.split()[1] in but, log


def assert_nothing_of_strangers(launched: Launched, *, but: tuple[str, ...] = ()) -> None:
    """`but` names the lines that may have the mark: they must be the launcher's all the same."""
    assert_own_lines(launched.log, but)
    assert len(launched.facts("balance")) == 1, launched.story()


# ---- clients -------------------------------------------------------------------------------------------------------

HEAD = b"Host: app\r\nConnection: close\r\n"
COPIED = [  # requests that are sound
    b"GET /%s?%s HTTP/1.1\r\n%s\r\n" % (MARKED, MARKED, HEAD),
    b"GET /%%1b]0;%s%%07%%0d%%0a%s HTTP/1.1\r\n%s\r\n" % (MARKED, FORGED.replace(" ", "%20").encode(), HEAD),
    b"GET /%s HTTP/1.1\r\nX-%s: %s\r\n%s\r\n" % (MARKED, MARKED, MARKED, HEAD),
    b"GET /%s HTTP/1.1\r\nX: %s\r\n%s\r\n" % (MARKED, f"\x9b{MARK}\u202e".encode(), HEAD),
    b"GET /%s HTTP/1.1\r\nUser-Agent: %s\r\nCookie: a=%s\r\n%s\r\n" % (MARKED, FORGED.encode(), MARKED, HEAD),
    b"POST /%s HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n%s" % (MARKED, len(NASTY), HEAD, NASTY),
    b"POST /%s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n%s\r\n%x;%s\r\n%s\r\n0\r\nX: %s\r\n\r\n"
    % (MARKED, HEAD, len(NASTY), MARKED, NASTY, MARKED),
    b"POST /%s HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n%s"
    % (MARKED, len(SEPARATOR + NASTY), HEAD, SEPARATOR + NASTY),
]  # fmt: skip
OTHERS = [  # ambiguous, half, or not to be copied; one of them is
    b"%s /%s HTTP/1.1\r\n%s\r\n" % (MARKED.upper(), MARKED, HEAD),
    NASTY,
    b"GET /%s HTTP/1.1\r\nHost: app\r\n\r\n" % OBEYED,
    b"GET /%s HTTP/1.1\r\nX: %s\r\nHost: app\r\n\r\n" % (MARKED, NASTY),
    b"GET /%s HTTP/1.1\nX: y\n%s\n\n" % (MARKED, FORGED.encode()),
    b"GET /%s HTTP/9.%s\r\nHost: app\r\n\r\n" % (MARKED, MARKED),
    b"POST /%s HTTP/1.1\r\nHost: app\r\nContent-Length: %s\r\n\r\n" % (MARKED, MARKED),
    b"POST /%s HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: %s\r\n\r\n%s" % (MARKED, MARKED, NASTY),
    b"POST /%s HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n" % (MARKED, MARKED),
    b"POST /%s HTTP/1.1\r\nHost: app\r\nContent-Length: 1000000\r\n\r\n%s" % (MARKED, NASTY),
    b"GET /%s HTTP/1.1\r\nX-Traffic-Duplicator: %s\r\nHost: app\r\n\r\n" % (MARKED, MARKED),
    b"GET /%s HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: %s\r\nHost: app\r\n\r\n" % (MARKED, MARKED),
    b"CONNECT %s:443 HTTP/1.1\r\nHost: %s\r\n\r\n%s" % (MARKED, MARKED, NASTY),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + NASTY,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + NASTY,
    b"\0" + NASTY,
]
VARIANTS = ["builtin", *NAMES, *(f"{name} --verbose 2" for name in NAMES)]


@pytest.fixture(params=VARIANTS)
def replayer(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """The value of --replayer, and further lines for gor.options in the folder that the run begins in."""
    name, _, line = request.param.partition(" ")
    (tmp_path / "config").mkdir()
    return "builtin" if name == "builtin" else str(real_gor(name).path), f"{line}\n"


def test_nothing_that_clients_send_is_in_the_log(product: Product, replayer: tuple[str, str], tmp_path: Path) -> None:
    name, lines = replayer
    with Destination() as destination:
        (tmp_path / "config" / "gor.options").write_text(f"--output-http {destination.url}\n--output-null\n{lines}")
        options = ("--replayer", name, "--stats-interval", "1")
        with serving(product, *options, cwd=tmp_path, command=QUIET_APP) as launched:
            for request in (*OTHERS, *COPIED):
                say(launched, request)
            destination.wait_for_arrivals(len(COPIED))
        assert any(MARK in (arrival.header("User-Agent") or "") for arrival in destination.arrivals)
    (end,) = launched.facts("end")
    assert int(end["unframed"]) > 5 and int(end["incomplete"]) and int(end["skipped_loop"])
    assert_nothing_of_strangers(launched)


# ---- destinations --------------------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = [
    b"HTTP/1.1 200 %s\r\nContent-Length: 0\r\n\r\n" % OBEYED,
    b"HTTP/1.1 500 %s\r\nContent-Length: 0\r\n\r\n" % NASTY,
    b"HTTP/1.1 2%s\r\n\r\n" % MARKED,
    b"HTTP/9.%s 200 OK\r\n\r\n" % MARKED,
    NASTY,
    b"\0\xff" + NASTY,
    b"HTTP/1.1 200",
    OK + b"X-%s: %s\r\nContent-Length: 0\r\n\r\n" % (MARKED, OBEYED),
    OK + b"%s\r\nContent-Length: 0\r\n\r\n" % FORGED.encode(),
    OK + b"X: %s\r\n\r\n" % NASTY,
    OK + b"%s : x\r\n\r\n" % OBEYED,
    OK + b"Content-Length: %s\r\n\r\n" % MARKED,
    OK + b"Content-Length: 1\r\nContent-Length: %s\r\n\r\n" % MARKED,
    OK + b"Transfer-Encoding: %s\r\n\r\n" % MARKED,
    OK + b"Transfer-Encoding: chunked\r\n\r\n%s\r\n" % NASTY,
    OK + b"Transfer-Encoding: chunked\r\n\r\n1;%s\r\nx\r\n0\r\n%s\r\n\r\n" % (MARKED, NASTY),
    OK + b"Content-Encoding: %s\r\nContent-Type: %s\r\nContent-Length: 0\r\n\r\n" % (MARKED, MARKED),
    OK + b"Content-Length: %d\r\n\r\n%s" % (len(NASTY), NASTY),
    OK + b"Content-Length: 2\r\n\r\nok" + NASTY,
    OK + b"Content-Length: 1000000\r\n\r\n" + NASTY,
    b"HTTP/1.1 103 %s\r\nLink: %s\r\n\r\n" % (MARKED, MARKED) + NASTY,
    b"HTTP/1.1 101 %s\r\nUpgrade: %s\r\n\r\n" % (MARKED, MARKED) + NASTY,
    *(b"HTTP/1.1 302 %s\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (MARKED, to)
      for to in (OBEYED, b"http://127.0.0.1:1/" + MARKED, b"/" + OBEYED, b"%zz" + MARKED, b"gopher://" + MARKED)),
]  # fmt: skip


def test_nothing_that_destinations_answer_is_in_the_log(
    product: Product, replayer: tuple[str, str], tmp_path: Path
) -> None:
    name, lines = replayer
    with HostileDestination(ANSWERS) as hostile:
        outputs = f"--output-http http://{hostile.address}\n--output-http-redirects 2\n{lines}"
        (tmp_path / "config" / "gor.options").write_text(outputs)
        options = ("--replayer", name, "--stats-interval", "1")
        with serving(product, *options, cwd=tmp_path, command=QUIET_APP) as launched:
            for _ in range(len(ANSWERS)):
                launched.http("GET", f"/{MARK}?{MARK}")
            assert hostile.wait_until_met(len(ANSWERS))
    assert launched.facts("destination-failed" if name == "builtin" else "gor-says")
    assert_nothing_of_strangers(launched)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", ["builtin", "gor-1.3"])  # gor before 1.3 knows no proxy
def test_nothing_that_a_proxy_answers_is_in_the_log(product: Product, tmp_path: Path, scheme: str, name: str) -> None:
    (tmp_path / "config").mkdir()
    with HostileDestination(ANSWERS) as proxy:
        if name == "builtin":  # which comes back to one that has failed only after a while
            lines = [f"--output-http {scheme}://destination{number}.invalid" for number in range(len(ANSWERS))]
        else:
            lines = [f"--output-http {scheme}://destination.invalid", "--verbose 2"]
        (tmp_path / "config" / "gor.options").write_text("\n".join(lines))
        options = ("--replayer", name if name == "builtin" else str(real_gor(name).path), "--stats-interval", "1")
        environ = {f"{scheme}_proxy": f"http://{proxy.address}"}
        with serving(product, *options, cwd=tmp_path, environ=environ, command=QUIET_APP) as launched:
            for _ in range(1 if name == "builtin" else len(ANSWERS)):
                launched.http("GET", f"/{MARK}?{MARK}")
            assert proxy.wait_until_met(len(ANSWERS))
    assert launched.facts("destination-failed" if name == "builtin" else "gor-says")
    assert_nothing_of_strangers(launched)


# ---- certificates --------------------------------------------------------------------------------------------------


def certificate(folder: Path, *, is_for_it: bool) -> Path:
    """Self-signed, with the mark in all its names, in a file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([
        x509.NameAttribute(NameOID.COMMON_NAME, OBEYED.decode("utf-8", "replace")[:30] + MARK),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"\n{FORGED}"[:64]),
    ])  # fmt: skip
    names: list[x509.GeneralName] = [x509.DNSName(f"{MARK}.example"), x509.DNSName(f"\x1b]0;{MARK}\x07\n{FORGED}")]
    names += [x509.IPAddress(ip_address("127.0.0.1"))] if is_for_it else []
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=-1 if is_for_it else 1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    path = folder / "certificate.pem"
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + built.public_bytes(pem)
    )  # fmt: skip
    return path


@pytest.mark.parametrize("fault", ["untrusted", "of another name", "expired"])
def test_nothing_of_a_certificate_is_in_the_log(
    product: Product, replayer: tuple[str, str], tmp_path: Path, fault: str
) -> None:
    name, lines = replayer
    file = certificate(tmp_path, is_for_it=fault == "expired")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    environ = {} if fault == "untrusted" else {"SSL_CERT_FILE": str(file)}
    with HostileDestination([OK + b"Content-Length: 0\r\n\r\n"], context) as hostile:
        place = hostile.address.replace("127.0.0.1", "localhost" if fault == "of another name" else "127.0.0.1")
        (tmp_path / "config" / "gor.options").write_text(f"--output-http https://{place}\n{lines}")
        options = ("--replayer", name, "--stats-interval", "1")
        with serving(product, *options, cwd=tmp_path, environ=environ, command=QUIET_APP) as launched:
            launched.http("GET", "/")
            assert hostile.wait_until_met(1)
            if name == "builtin":
                launched.wait_for_line("destination-failed", outcome="tls")
    assert_nothing_of_strangers(launched)
    planned = product.run(["--dry-run"], QUIET_APP, cwd=tmp_path, environ=environ)
    assert MARK not in planned.output + planned.log


# ---- what is said of strangers by intention ------------------------------------------------------------------------


def test_a_comparison_names_endpoints_and_places_and_no_line_of_it_is_a_stranger_s(
    product: Product, tmp_path: Path
) -> None:
    head = OK + b"Connection: close\r\nContent-Type: application/json\r\n"
    with HostileDestination([head + b"Content-Length: 2\r\n\r\n{}"]) as baseline:
        body = b'{"%s": 1, "\\u001b]0;%s\\u0007\\n%s": 2}' % (MARKED, MARKED, FORGED.encode())
        answer = head + b"X: %s\r\nContent-Length: %d\r\n\r\n" % (OBEYED, len(body))
        with HostileDestination([answer + body]) as candidate:
            options = ("--to", f"baseline=http://{baseline.address}", "--to", f"candidate=http://{candidate.address}")
            with serving(product, *options, cwd=tmp_path, command=QUIET_APP) as launched:
                for request in COPIED * 3:
                    say(launched, request)
                assert candidate.wait_until_met(3 * len(COPIED))
    assert any(MARK in facts["what"] for facts in launched.facts("difference"))
    assert_nothing_of_strangers(launched, but=("at=difference", "at=slower"))


RECORDS = [
    b"1 %s 1700000000000000000 -1\nGET /%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (MARKED, MARKED, MARKED),
    b"1 %s 1 -1\nGET /%s HTTP/1.1\r\nX: %s\r\n\r\n" % (MARKED, MARKED, NASTY),
    b"1 a 1 -1\n%s" % NASTY,
    b"1 a %s -1\nGET / HTTP/1.1\r\n\r\n" % MARKED,
    b"%s\nGET / HTTP/1.1\r\n\r\n" % OBEYED,
    NASTY,
    b"\0" + NASTY,
    b"1 a 1 -1\nGET / HTTP/1.1\r\nContent-Length: %s\r\n\r\n%s" % (MARKED, NASTY),
    b"2 a 1 -1\nHTTP/1.1 200 %s\r\n\r\n%s" % (OBEYED, NASTY),
]


@pytest.mark.parametrize("level", ["0", "3"])
def test_nothing_of_a_recording_is_said_when_it_is_replayed_unless_verbose_asks_for_it(
    product: Product, tmp_path: Path, level: str
) -> None:
    (tmp_path / "all.gor").write_bytes(SEPARATOR.join([*RECORDS, b""]))
    with HostileDestination(ANSWERS) as hostile:
        words = ["--replay", "--input-file", "all.gor", "--output-http", f"http://{hostile.address}"]
        done = subprocess.run(
            [product.file, *words, "--verbose", level], cwd=tmp_path, capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(product.home)},
        )  # fmt: skip
        assert hostile.wait_until_met(1, 0), done.stderr
    assert "at=input-failed" in done.stderr and done.stdout == ""
    assert (MARK in done.stderr) is (level == "3"), done.stderr
    assert_own_lines(done.stderr, ("at=request", "at=copy"))
