"""`rediss://`: what is in front of the Redis must have a certificate for its name, of an authority that is known."""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from tests.cluster.valkey import Valkey
from tests.log.kinds import NOW
from trio_chat.cluster.redis import open_redis
from trio_chat.config import Config
from trio_chat.log import LogError
from trio_chat.redis_url import RedisUrl


async def pump(source: trio.abc.Stream, sink: trio.abc.Stream, scope: trio.CancelScope) -> None:
    try:
        while chunk := await source.receive_some(65_536):
            await sink.send_all(chunk)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()


async def through(port: int, client: trio.SSLStream[trio.SocketStream]) -> None:
    """One connection, to the Redis that has no TLS."""
    server = await trio.open_tcp_stream("127.0.0.1", port)
    async with server, trio.open_nursery() as both:
        both.start_soon(pump, client, server, both.cancel_scope)
        both.start_soon(pump, server, client, both.cancel_scope)
    await trio.aclose_forcefully(client)


@pytest.mark.parametrize(
    ("host", "known", "told"),
    [
        ("localhost", True, None),
        ("localhost", False, "CERTIFICATE_VERIFY_FAILED"),
        ("127.0.0.1", True, "CERTIFICATE_VERIFY_FAILED"),
    ],
)
async def test_certificate(
    server: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, known: bool, told: str | None
) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    (authority if known else trustme.CA()).cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        serving = [trio.SSLListener(listener, context)]
        nursery.start_soon(partial(trio.serve_listeners, partial(through, server.port), serving))
        said = None
        try:
            url = RedisUrl.read(f"rediss://:sesame@{host}:{port}/0" if told else f"rediss://{host}:{port}/0")
            async with open_redis(url, history=Config().history, boot="b", wall=lambda: NOW.wall) as log:
                assert log.trouble is None
        except LogError as error:
            said = str(error)
        nursery.cancel_scope.cancel()
    assert said == (None if told is None else f"rediss://{host}:{port}/0: the server cannot be reached: {told}")
