"""A server process with a certificate: https and wss on its port, and a new certificate on SIGHUP."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
from collections.abc import Callable

import pytest
import trio

from tests.certificates import Authority
from trio_chat.bench.tool import bench
from trio_chat.client import Welcomed, open_chat_client
from trio_chat.fuzz.tool import fuzz

from .client import SECONDS, dial, join
from .process import Server
from .raw import answer_to, dropped, turned_away
from .web import page, refused

Start = Callable[..., Server]


def serial(server: Server, authority: Authority) -> str:
    """The number of the certificate that a new handshake shows."""
    with (
        socket.create_connection((server.host, server.port), SECONDS) as plain,
        authority.trust().wrap_socket(plain, server_hostname=server.host) as secure,
    ):
        shown = secure.getpeercert()
        assert shown is not None
        return str(shown["serialNumber"])


def get(server: Server, authority: Authority, path: str) -> http.client.HTTPResponse:
    """A page over https, read."""
    web = http.client.HTTPSConnection(server.host, server.port, timeout=SECONDS, context=authority.trust())
    try:
        web.request("GET", path)
        response = web.getresponse()
        response.reason = response.read().decode()
        return response
    finally:
        web.close()


def test_https_and_wss_are_on_one_port(start: Start, authority: Authority) -> None:
    server = start(*authority.flags())
    assert f"listening on https://{server.host}:{server.port}/ and wss://{server.host}:{server.port}/ws" in server.log
    tls = authority.trust()
    with join(server, "alice", tls=tls) as alice, join(server, "bob", tls=tls) as bob:
        alice.ask("message", content="between us and nobody on the way")
        assert bob.until("message")["sender"] == "alice"
        assert get(server, authority, "/healthz").reason == "ok\n"
        assert get(server, authority, "/nowhere").status == 404
        assert answer_to(server, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").startswith("HTTP/1.1 400 Bad Request\r\n")
        with pytest.raises(ssl.SSLCertVerificationError):
            dial(server, tls=ssl.create_default_context())
        assert alice.ask("ping")["type"] == "pong"


def test_sighup_brings_a_new_certificate_and_drops_nobody(start: Start, authority: Authority) -> None:
    server = start(*authority.flags())
    first = serial(server, authority)
    with join(server, "alice", tls=authority.trust()) as alice:
        authority.issue()
        assert serial(server, authority) == first, "not before it is told"
        server.signal(signal.SIGHUP)
        server.wait_for("SIGHUP: certificate and key are reloaded")
        second = serial(server, authority)
        assert second != first
        assert alice.ask("message", content="still here")["seq"] == 1

        (authority.directory / "server.key").write_text("half a key")
        server.signal(signal.SIGHUP)
        line = server.wait_for("SIGHUP: the old certificate stays in use; tls_key: ")
        assert "must be a key in PEM" in line
        assert serial(server, authority) == second
        assert alice.ask("ping")["type"] == "pong"


def test_sighup_without_a_certificate_is_only_noted(start: Start) -> None:
    server = start()
    with join(server, "alice") as alice:
        server.signal(signal.SIGHUP)
        server.wait_for("SIGHUP: there is nothing to reload without tls_cert")
        assert alice.ask("ping")["type"] == "pong"


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--tls-cert", "other.pem"], "tls_key (the default): '' must be given, too, where tls_cert is"),
        (["--tls-key", "other.key"], "tls_cert (the default): '' must be given, too, where tls_key is"),
        (
            ["--tls-cert", "other.pem", "--tls-key", "server.key"],
            "--tls-key: 'server.key' must be the key of the certificate in 'other.pem'",
        ),
        (
            ["--tls-cert", "none.pem", "--tls-key", "server.key"],
            "--tls-cert: 'none.pem' must be a PEM file that can be read (No such file or directory)",
        ),
        (["--proxy-protocol", "on"], "--proxy-protocol: 'on' must be off where there are no trusted_proxies"),
    ],
)
def test_what_does_not_fit_stops_the_start_in_one_line(flags: list[str], line: str, authority: Authority) -> None:
    authority.issue()
    authority.issue("other")
    server = Server(*flags, cwd=authority.directory)
    try:
        assert server.wait(SECONDS) == 2
        assert server.log == f"{line}\n"
    finally:
        server.kill()


def test_garbage_and_silence_on_the_port_are_attempts(start: Start, authority: Authority) -> None:
    server = start(*authority.flags(), "--max-attempts", "3", "--connect-timeout", "0.3")
    for data in (b"\x16\x03\x01garbage", b"\x16\x03", b""):
        dropped(server, data)
    assert "banned" not in server.log
    dropped(server, b"\0" * 100)
    server.wait_for("127.0.0.1 banned for 60 s")
    assert get(server, authority, "/").status == 200


async def test_the_client_library_comes_back_over_tls(authority: Authority) -> None:
    """Through a restart, to its session; with an authority that it is given."""
    log = ("--log", f"sqlite:{authority.directory}/chat.db", "--drain-seconds", "0")
    server = Server(*authority.flags(), *log).ready()
    servers = [server]
    try:
        with trio.fail_after(30):
            async with open_chat_client(server.url, "alice", tls=authority.trust()) as client:
                assert isinstance(await anext(client), Welcomed)
                assert (await client.send_message("before")).seq == 1
                server.signal()
                assert await trio.to_thread.run_sync(server.wait) == 0
                again = Server(*authority.flags(), *log, "--port", str(server.port))
                servers.append(await trio.to_thread.run_sync(again.ready))
                async for event in client:
                    if isinstance(event, Welcomed):
                        assert event.resumed
                        break
                assert (await client.send_message("after")).seq == 2
    finally:
        for one in servers:
            one.stop()
            one.check_log()


@pytest.mark.parametrize("wrong", ["authority", "name", "no TLS"])
async def test_the_client_library_does_not_talk_to_somebody_else(
    wrong: str, start: Start, authority: Authority
) -> None:
    flags = authority.flags()
    if wrong == "name":
        authority.issue("server", "chat.example.org")
    server = start(*flags) if wrong != "no TLS" else start()
    tls = None if wrong == "authority" else authority.trust()
    url = server.url.replace("ws://", "wss://").replace("wwss", "wss")
    with trio.fail_after(SECONDS), pytest.raises(OSError, match=r"^no TLS with 127\.0\.0\.1: "):
        async with open_chat_client(url, "alice", tls=tls):
            pass


def test_fuzz_comes_to_a_server_over_tls(
    start: Start, authority: Authority, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start(*authority.flags())
    assert fuzz(server.url, examples=2, profile="quick", ca=authority.file()) == 0
    assert "2 examples" in capsys.readouterr().out
    assert fuzz(server.url, examples=2) == 2
    assert "cannot be reached: [SSL: CERTIFICATE_VERIFY_FAILED]" in capsys.readouterr().err


def test_bench_loads_a_server_over_tls(start: Start, authority: Authority, capsys: pytest.CaptureFixture[str]) -> None:
    server = start(*authority.flags())
    assert bench(server.url, connections=3, rate=30, seconds=0.5, ca=authority.file()) == 0
    assert "15 messages sent, 15 acked" in capsys.readouterr().out
    assert bench(server.url, connections=3, rate=30, seconds=0.5) == 1
    assert capsys.readouterr().err.startswith("connection 1 could not be opened: no TLS with 127.0.0.1: ")
    assert bench(server.url, ca=str(authority.directory / "server.key")) == 2
    assert capsys.readouterr().err.endswith("must be a file with a certificate in PEM (none is in it)\n")


def test_lists_and_a_proxy_of_a_real_server(start: Start) -> None:
    """Who is denied is answered at once; behind a proxy, who is meant is whom its header names."""
    denied = start("--denied-addresses", "127.0.0.0/8")
    assert refused(denied) == (403, None)
    assert page(denied, "/healthz") == 403
    server = start(
        *("--trusted-proxies", "127.0.0.0/8", "--proxy-protocol", "on", "--denied-addresses", "192.0.2.0/24")
    )
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert answer_to(server, b"PROXY TCP4 203.0.113.1 127.0.0.1 1 2\r\n" + head).endswith("ok\n")
    assert turned_away(server, b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n" + head).startswith("HTTP/1.1 403")
    dropped(server, head)
