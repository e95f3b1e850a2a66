"""TLS: the files, the handshake, and what a peer gets that does not speak it."""

from __future__ import annotations

import gc
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.certificates import Authority
from trio_chat.config import ConfigError
from trio_chat.server.tls import Certificate

from .harness import House, Peer, house, request, upgrade

RESET = b"\x01\0\0\0\0\0\0\0"  # SO_LINGER: closing resets


@asynccontextmanager
async def encrypted(authority: Authority, **options: Any) -> AsyncIterator[House]:
    """A server with a certificate."""
    cert, key = authority.issue()
    async with house(tls_cert=cert, tls_key=key, **options) as server:
        yield server


async def dial(server: House, authority: Authority, **context: Any) -> Peer:
    """A client over TLS; `context`: what is changed of its own."""
    checks = authority.trust()
    for name, value in context.items():
        setattr(checks, name, value)
    plain = (await server.plug()).stream
    secure: trio.SSLStream[Any] = trio.SSLStream(plain, checks, server_hostname="localhost", https_compatible=True)
    try:
        await secure.do_handshake()
    except trio.BrokenResourceError:
        await trio.aclose_forcefully(secure)
        raise
    return Peer(secure)


# --- The files -------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(authority: Authority) -> Path:
    """A directory with all kinds of them."""
    directory = authority.directory
    cert, key = authority.issue("good")
    authority.issue("other")
    (directory / "junk").write_text("this is no PEM")
    (directory / "empty").touch()
    (directory / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (directory / "broken.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    open_key = load_pem_private_key(Path(key).read_bytes(), None)
    closed = open_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (directory / "closed.key").write_bytes(closed)
    (directory / "whole.pem").write_bytes(Path(cert).read_bytes() + Path(key).read_bytes())
    return directory


@pytest.mark.parametrize(
    ("cert", "key", "line"),
    [
        (
            "none.pem",
            "good.key",
            "tls_cert: 'none.pem' must be a PEM file that can be read (No such file or directory)",
        ),
        (".", "good.key", "tls_cert: '.' must be a PEM file that can be read (Is a directory)"),
        (
            "good.pem",
            "none.key",
            "tls_key: 'none.key' must be a PEM file that can be read (No such file or directory)",
        ),
        ("junk", "good.key", "tls_cert: 'junk' must be a certificate in PEM (no certificate or crl found)"),
        ("empty", "good.key", "tls_cert: 'empty' must be a certificate in PEM (no certificate or crl found)"),
        ("good.key", "good.key", "tls_cert: 'good.key' must be a certificate in PEM (no certificate or crl found)"),
        ("broken.pem", "good.key", "tls_cert: 'broken.pem' must be a certificate in PEM ("),
        ("good.pem", "other.key", "tls_key: 'other.key' must be the key of the certificate in 'good.pem'"),
        ("good.pem", "junk", "tls_key: 'junk' must be a key in PEM, without a passphrase"),
        ("good.pem", "empty", "tls_key: 'empty' must be a key in PEM, without a passphrase"),
        ("good.pem", "good.pem", "tls_key: 'good.pem' must be a key in PEM, without a passphrase"),
        ("good.pem", "broken.key", "tls_key: 'broken.key' must be a key in PEM, without a passphrase"),
        ("good.pem", "closed.key", "tls_key: 'closed.key' must be a key in PEM, without a passphrase"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    cert: str, key: str, line: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    with pytest.raises(ConfigError) as caught:
        Certificate(cert, key)
    assert str(caught.value).startswith(line)
    assert str(caught.value).isprintable()


def test_certificate_and_key_may_be_one_file(files: Path) -> None:
    whole = str(files / "whole.pem")
    assert isinstance(Certificate(whole, whole).context, ssl.SSLContext)


def test_a_reload_that_fails_leaves_the_old_one(authority: Authority) -> None:
    cert, key = authority.issue()
    certificate = Certificate(cert, key)
    before = certificate.context
    Path(cert).write_text("half a file")
    with pytest.raises(ConfigError, match=r"^tls_cert: "):
        certificate.reload()
    assert certificate.context is before
    authority.issue()
    certificate.reload()
    assert certificate.context is not before


# --- The handshake ---------------------------------------------------------------------------------------------------


async def test_wss_and_https_on_the_same_port(authority: Authority) -> None:
    async with encrypted(authority) as server:
        peer = await dial(server, authority)
        await peer.send(request("GET", "/healthz"))
        assert (await peer.response()).body == b"ok\n"
        assert (await peer.connect("alice"))["user"] == "alice"
        await peer.say("message", content="x" * 500_000, id=1)
        assert (await peer.event("ack"))["seq"] == 1
        assert len((await peer.event("message"))["content"]) == 500_000
        await peer.drop()


async def test_the_end_of_a_connection_is_told_at_once(authority: Authority, autojump_clock: MockClock) -> None:
    """TCP is half-closed under TLS: a client that waits for the server to close need not wait for the grace."""
    async with encrypted(authority) as server:
        peer = await dial(server, authority)
        await peer.connect("alice")
        started = trio.current_time()
        await peer.send(b"\x88\x82\0\0\0\0\x03\xe8")
        assert await peer.closed() == 1000
        assert trio.current_time() == started
        page = await dial(server, authority)
        await page.send(request("GET", "/nowhere"))
        assert (await page.response()).status == 404
        await page.ended()
        assert trio.current_time() == started
        await page.drop()
        await peer.drop()


@pytest.mark.parametrize(("highest", "spoken"), [("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")])
async def test_what_is_spoken(highest: str, spoken: str, authority: Authority) -> None:
    async with encrypted(authority) as server:
        peer = await dial(server, authority, maximum_version=ssl.TLSVersion[highest])
        assert isinstance(peer.stream, trio.SSLStream)
        assert peer.stream.version() == spoken
        assert peer.stream.compression() is None
        assert any(word in peer.stream.cipher()[0] for word in ("GCM", "CHACHA20"))
        await peer.drop()


async def test_http_1_1_is_what_it_offers(authority: Authority) -> None:
    async with encrypted(authority) as server:
        plain = (await server.plug()).stream
        checks = authority.trust()
        checks.set_alpn_protocols(["h2", "http/1.1"])
        secure: trio.SSLStream[Any] = trio.SSLStream(plain, checks, server_hostname="localhost")
        await secure.do_handshake()
        assert secure.selected_alpn_protocol() == "http/1.1"
        await trio.aclose_forcefully(secure)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize(
    "cipher",
    [None, "ECDHE+AES:!AESGCM:!AESCCM", "AES256-GCM-SHA384"],
    ids=["an old version", "a cipher without authenticated encryption", "a key exchange without forward secrecy"],
)
async def test_what_is_weak_is_not_spoken(cipher: str | None, authority: Authority) -> None:
    async with encrypted(authority) as server:
        checks = authority.trust()
        if cipher is None:
            checks.minimum_version = checks.maximum_version = ssl.TLSVersion.TLSv1_1
            checks.set_ciphers("ALL:@SECLEVEL=0")
        else:
            checks.maximum_version = ssl.TLSVersion.TLSv1_2
            checks.set_ciphers(cipher)
        plain = (await server.plug()).stream
        secure: trio.SSLStream[Any] = trio.SSLStream(plain, checks, server_hostname="localhost")
        with pytest.raises(trio.BrokenResourceError):
            await secure.do_handshake()
        await trio.aclose_forcefully(secure)


def test_no_handshake_is_renewed(authority: Authority) -> None:
    """Whatever OpenSSL's own default is: the attack in the hostile suite sees only what comes of both."""
    assert Certificate(*authority.issue()).context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize("data", [request("GET", "/"), b"HEAD", upgrade(), b"PROXY UNKNOWN\r\n"])
async def test_a_request_in_the_clear_is_told_so(data: bytes, authority: Authority, autojump_clock: MockClock) -> None:
    async with encrypted(authority, max_attempts=1) as server:
        for _ in range(2):
            peer = await server.plug()
            await peer.send(data)
            response = await peer.response()
            assert (response.status, response.body) == (400, b"Here is TLS only: https and wss\n")
            await peer.ended()
            await peer.drop()
            await wait_all_tasks_blocked()
        assert list(server.broker.banned) == ["127.0.0.1"]


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # the begin of one


@pytest.mark.parametrize("data", [b"\x16" + b"garbage" * 9, b"\x80\x2e" + b"\0" * 60, HELLO, b"\0"])
async def test_garbage_and_handshakes_that_end_are_attempts(
    data: bytes, authority: Authority, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with encrypted(authority, max_attempts=2) as server:
        for _ in range(3):
            peer = await server.plug()
            await peer.send(data)
            await peer.drop()
            await wait_all_tasks_blocked()
        assert list(server.broker.banned) == ["127.0.0.1"]
        await server.empty()
    assert "Traceback" not in caplog.text


async def test_a_handshake_that_does_not_end_is_one_too(authority: Authority, autojump_clock: MockClock) -> None:
    """Within the time for a head, whether something came or nothing."""
    async with encrypted(authority, max_attempts=2, connect_timeout=5) as server:
        for data in (HELLO, b"", HELLO):
            started = trio.current_time()
            peer = await server.plug()
            if data:
                await peer.send(data)
            await peer.ended()
            assert trio.current_time() - started == pytest.approx(5)
            await peer.drop()
        await wait_all_tasks_blocked()
        assert list(server.broker.banned) == ["127.0.0.1"]


async def test_handshake_and_head_share_one_time(authority: Authority, autojump_clock: MockClock) -> None:
    async with encrypted(authority, connect_timeout=10) as server:
        started = trio.current_time()
        peer = await dial(server, authority)
        await trio.sleep(6)
        await peer.send(b"GET / HT")
        assert (await peer.response()).status == 408
        assert trio.current_time() - started == pytest.approx(10)
        await peer.drop()


async def test_a_handshake_and_nothing_behind_it_is_an_attempt(authority: Authority, autojump_clock: MockClock) -> None:
    """It cost us more than it cost the peer. Who opens a socket and leaves cost nothing, and is not counted."""
    async with encrypted(authority, max_attempts=2) as server:
        for _ in range(4):
            await (await server.plug()).drop()
            await wait_all_tasks_blocked()
        assert not server.broker.banned
        for _ in range(3):
            await (await dial(server, authority)).drop()
            await wait_all_tasks_blocked()
        assert list(server.broker.banned) == ["127.0.0.1"]


async def test_handshakes_without_end_are_not_begun(authority: Authority, autojump_clock: MockClock) -> None:
    """However well they go, and whatever is asked behind them: here for pages, which are no attempts."""
    async with encrypted(authority, max_connections_per_address=3, attempt_window=15) as server:
        for _ in range(3):
            peer = await dial(server, authority)
            await peer.send(request("GET", "/healthz", connection="close"))
            assert (await peer.response()).status == 200
            await peer.drop()
        with pytest.raises(trio.BrokenResourceError):
            await dial(server, authority)
        await trio.sleep(5)
        await (await dial(server, authority)).drop()


async def test_a_reset_in_the_handshake_harms_nobody(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    async with encrypted(authority) as server:
        for data in (b"", HELLO):
            stream = (await server.plug()).stream
            assert isinstance(stream, trio.SocketStream)
            if data:
                await stream.send_all(data)
                await wait_all_tasks_blocked()
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            stream.socket.close()
            await wait_all_tasks_blocked()
        peer = await dial(server, authority)
        await peer.connect("alice")
        await peer.drop()
    assert "bug" not in caplog.text


async def test_a_reload_is_for_new_handshakes(authority: Authority, tmp_path: Path) -> None:
    async with encrypted(authority) as server:
        old = await dial(server, authority)
        await old.connect("alice")
        newer = Authority(tmp_path)  # the same files, by an authority that the old client does not know
        newer.issue()
        assert server.doors._certificate is not None
        server.doors._certificate.reload()
        await old.say("ping", id=1)
        assert (await old.event("pong"))["id"] == 1
        new = await dial(server, newer)
        await new.connect("bob")
        plain = (await server.plug()).stream
        secure: trio.SSLStream[Any] = trio.SSLStream(plain, authority.trust(), server_hostname="localhost")
        with pytest.raises(trio.BrokenResourceError):
            await secure.do_handshake()
        for stream in (secure, old.stream, new.stream):
            await trio.aclose_forcefully(stream)


async def test_the_proxy_header_comes_before_tls(authority: Authority, autojump_clock: MockClock) -> None:
    options = {"trusted_proxies": ["127.0.0.0/8"], "proxy_protocol": "on", "max_attempts": 1}
    async with encrypted(authority, **options) as server:
        for status in (101, 429):
            plain = (await server.plug()).stream
            await plain.send_all(b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n")
            secure: trio.SSLStream[Any] = trio.SSLStream(
                plain, authority.trust(), server_hostname="localhost", https_compatible=True
            )
            peer = Peer(secure)
            await peer.send(upgrade())
            assert (await peer.response()).status == status
            await peer.drop()
        assert list(server.broker.banned) == ["192.0.2.1"]


async def test_who_is_refused_unheard_is_just_closed(authority: Authority, autojump_clock: MockClock) -> None:
    """An answer in the clear would be garbage to it."""
    async with encrypted(authority, denied_addresses=["127.0.0.0/8"]) as server:
        peer = await server.plug()
        await peer.ended()
        await peer.drop()
    async with encrypted(authority, max_connections_per_address=1) as server:
        peers = [await server.plug() for _ in range(2)]
        await peers[1].ended()
        for peer in peers:
            await peer.drop()


async def test_a_peer_that_never_reads_is_cut_under_tls_too(authority: Authority, autojump_clock: MockClock) -> None:
    """The writer waits in TLS; the bound is the same, and others hear on."""
    async with encrypted(authority, max_message_bytes=8192, outbox_bytes=65536, messages_burst=10_000) as server:
        deaf = await dial(server, authority)
        await deaf.connect("deaf")
        alice = await dial(server, authority)
        await alice.connect("alice")
        for number in range(2000):
            await alice.say("message", content="x" * 4000, id=number)
            assert (await alice.event("message"))["seq"] == number + 1
            if len(server.broker._peers._peers) == 1:
                break
        await wait_all_tasks_blocked()
        assert len(server.broker._peers._peers) == 1, "the deaf one is cut"
        await alice.drop()
        await deaf.drop()


async def test_what_tls_holds_goes_with_its_connection(authority: Authority, autojump_clock: MockClock) -> None:
    """Trio's stream refers to itself: without help, only the garbage collector frees it, and that comes seldom."""
    async with encrypted(authority, connect_timeout=5) as server:
        gc.collect()
        gc.disable()
        try:
            for data in (b"\x16 garbage", HELLO):
                peer = await server.plug()
                await peer.send(data)
                while await peer.stream.receive_some():
                    pass
                await peer.drop()
            page = await dial(server, authority)
            await page.send(request("GET", "/", connection="close"))
            await page.response()
            alice = await dial(server, authority)
            await alice.connect("alice")
            assert held() == 2
            for peer in (page, alice):
                await peer.drop()
            await wait_all_tasks_blocked()
            assert held() == 0
        finally:
            gc.enable()


def held() -> int:
    """TLS sessions of a server that are in memory, with those that are garbage."""
    return sum(isinstance(one, ssl.SSLObject) and one.server_side for one in gc.get_objects())
