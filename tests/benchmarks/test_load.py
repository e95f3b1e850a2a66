"""The tool itself is right: what it counts is what was sent, and it tells when a server loses, doubles or reorders."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import load
from .framing import MARK, Frames, MarkCounter, masked
from .load import Driver, Load, Sender
from .opening import LoadError
from .run import measure
from .servers import PEER, SERVERS, BenchmarkError, Kind, Server, serving

SMALL = {"clients": 20, "senders": 2, "window": 5, "warmup": 0.1, "seconds": 0.2}


def server_frame(**frame: object) -> bytes:
    """One text frame as a server sends it, short or long."""
    payload = json.dumps(frame).encode()
    size = bytes([len(payload)]) if len(payload) < 126 else b"\x7e" + len(payload).to_bytes(2, "big")
    return b"\x81" + size + payload


def message(sender: str, n: int, seq: int) -> bytes:
    """The frame of the n-th message that a sender of the load sends."""
    content = f"{MARK.decode()}{sender} {n} ".ljust(100, "x")
    return server_frame(type="message", content=content, sender=sender, room="general", seq=seq)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_every_message_reaches_every_client_of_the_peer() -> None:
    """End to end, both in processes of their own: sent × members is delivered, and the rates are of this world."""
    with serving(PEER) as server:
        result = measure(server, SMALL)

    assert result["sent"] > SMALL["senders"] * SMALL["window"], "the loop went round"
    assert result["delivered"] == result["sent"] * SMALL["clients"]
    assert 0 < result["deliveries_per_second"] <= result["delivered"] / SMALL["seconds"]
    assert 100 < result["bytes_per_delivery"] < 300
    assert 0 < result["load_cpu"] < 1.1


def test_a_server_is_stopped_when_its_block_ends() -> None:
    """No process outlives the benchmark."""
    with serving(PEER) as server:
        assert Path(f"/proc/{server.pid}").exists()
    assert not Path(f"/proc/{server.pid}").exists()


def test_a_server_that_does_not_start_is_told_with_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SERVERS, "broken", Kind(["-c", "raise SystemExit('no such log')"]))

    with pytest.raises(BenchmarkError, match="broken ended with 1: no such log"), serving("broken"):
        pass


def test_a_load_that_fails_is_told_with_its_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(BenchmarkError, match="ConnectionRefusedError"):
        measure(Server(1, port), SMALL)


@pytest.mark.parametrize("size", range(1, 12))
def test_a_message_counts_once_however_the_stream_is_cut(size: int) -> None:
    """The mark may be split over two reads; other frames do not count."""
    stream = server_frame(type="system", event="joined", count=3) + message("u00000", 1, 1) * 3
    counter = MarkCounter()

    pieces = [bytearray(stream[start : start + size]) for start in range(0, len(stream), size)]
    assert sum(counter.count(piece + b"^^", len(piece)) for piece in pieces) == 3


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000_000])
def test_frames_are_cut_right_however_the_stream_is_cut(size: int) -> None:
    """All three forms of a length (RFC 6455 §5.2)."""
    big = b"y" * 70_000
    stream = b"\x81\x02{}" + b"\x81\x7e" + (300).to_bytes(2, "big") + b"x" * 300
    stream += b"\x81\x7f" + len(big).to_bytes(8, "big") + big + b"\x89\x00"
    parser = Frames()

    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    frames = [frame for piece in pieces for frame in parser.feed(piece)]
    assert frames == [(1, b"{}"), (1, b"x" * 300), (1, big), (9, b"")]


@pytest.mark.parametrize("size", [1, 125, 126, 1_000])
def test_masked_frames_unmask_to_the_payload(size: int) -> None:
    payload = bytes(n % 251 for n in range(size))
    frame = masked(payload)

    key, body = frame[-size - 4 : -size], frame[-size:]
    assert bytes(byte ^ key[n % 4] for n, byte in enumerate(body)) == payload
    assert frame[1] & 0x80, "a client's frame says that it is masked"


def test_a_sender_keeps_its_window_full(pair: tuple[socket.socket, socket.socket]) -> None:
    """One more message for each own copy, none for another's."""
    sender = Sender(pair[0], "me", Frames(), window=2)
    sender.start()
    assert sender.sent == 2

    own = server_frame(type="ack", id=0, seq=1) + message("me", 0, 1)
    data = bytearray(own + message("you", 0, 2))
    assert sender.count(data, len(data)) == 2
    assert sender.sent == 3


@pytest.mark.parametrize(
    ("stream", "complaint"),
    [
        (message("you", 0, 7) + message("you", 1, 9), "seq is 9, not 8"),
        (message("you", 0, 7) * 2, "seq is 7, not 8"),
        (message("me", 0, 1), "ack before own copy"),
        (server_frame(type="ack", id=1, seq=1), "ack is 1, not 0"),
        (server_frame(type="ack", id=0, seq=1) + message("me", 1, 1), "own copy is"),
        (server_frame(type="error", code="rate_limited"), "rate_limited"),
        (b"\x88\x06\x0f\xa3slow", "closed: 4003 slow"),
    ],
)
def test_a_sender_complains_about_a_broken_promise(
    pair: tuple[socket.socket, socket.socket], stream: bytes, complaint: str
) -> None:
    sender = Sender(pair[0], "me", Frames(), window=2)
    sender.start()

    with pytest.raises(LoadError, match=complaint):
        sender.count(bytearray(stream), len(stream))


def test_a_closed_receiver_is_an_error(pair: tuple[socket.socket, socket.socket]) -> None:
    """A server that drops its slow readers would else look fast."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        driver = Driver(Load(port=0, server_pid=1, clients=2, senders=1), [(pair[0], Frames()), (ours, Frames())])
        theirs.close()

        with pytest.raises(LoadError, match="u00001 was closed"):
            driver.run()


@pytest.mark.parametrize(("answered", "complaint"), [(1, "delivered 1 of 2"), (3, "delivered 3 of 2")])
def test_a_lost_or_doubled_message_is_an_error(
    monkeypatch: pytest.MonkeyPatch, pair: tuple[socket.socket, socket.socket], answered: int, complaint: str
) -> None:
    """The sender hears of its window of 2 what another client would: it is not its own copies that are missed."""
    monkeypatch.setattr(load, "TIMEOUT", 0.05)
    options = Load(port=0, server_pid=os.getpid(), clients=1, senders=1, window=2, warmup=0, seconds=0.01)
    pair[1].sendall(b"".join(message("you", n, n + 1) for n in range(answered)))

    with pytest.raises(LoadError, match=complaint):
        Driver(options, [(pair[0], Frames())]).run()
