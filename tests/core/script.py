"""A scripted chat with something of everything, for comparing what came out of it."""

from __future__ import annotations

import hashlib

from tests.core.driver import Client, Driver
from trio_chat.core.effects import Alive, Drain, Effect
from trio_chat.core.errors import ErrorCode
from trio_chat.core.messages import (
    Bad,
    Delete,
    Edit,
    Find,
    GetHistory,
    Join,
    Leave,
    ListRooms,
    ListUsers,
    MarkRead,
    Message,
    Position,
    Private,
    React,
    SetTopic,
    Typing,
)


def play() -> list[Effect]:
    """Play it. Returns all effects, in order."""
    driver = Driver(presence_limit=5, history_limit=20, max_attempts=3)
    clients = [driver.connect(f"user {number}", modern=number % 3 > 0) for number in range(8)]
    for number, client in enumerate(clients):
        for room in range(number % 4):
            client.send(Join(room=f"room {room}"))
        client.send(Message(content=f"hello from {number}", room=f"room {number % 3}", key="k", id=number))
        client.send(Message(content=f"hello from {number}", room=f"room {number % 3}", key="k", id="again"))
        client.send(Private(to=f"user {(number + 3) % 8}", content="psst"))
        client.send(Typing(room="general"))
        driver.advance(0.3)
    revise(clients)
    rivals = [driver.connect(f"user {number}") for number in (1, 1, 2, 2)]
    driver.apply(Alive(clients[2].conn))
    for client in clients[:3]:
        client.drop(unsent=[("general", 1), ("room 0", 1)])
    for _ in range(30):
        rivals[0].send(Message(content="more"))
    clients[0] = driver.resume(clients[0], {"room 0": Position(epoch="boot-2", seq=0)})
    for client in (clients[0], clients[4], rivals[0]):
        for command in (
            ListRooms(),
            ListRooms(mine=True),
            ListUsers(),
            GetHistory(room="general"),
            Leave(room="room 1"),
        ):
            client.send(command)
        client.send(Bad(code=ErrorCode.BAD_JSON, content="no"))
    for trusted in (True, False):
        driver.crash(trusted=trusted)
        for number in (4, 0, 6):
            clients[number] = driver.resume(clients[number], {"general": Position(epoch="boot-1", seq=number)})
        clients[5] = driver.resume(clients[5])
        revise(clients[4:7])
    for _ in range(5):
        driver.admit(address="10.9.9.9")
    driver.advance(3)
    clients[5].drop(1000)
    driver.apply(Drain(2))
    driver.advance(1000)
    return driver.effects


def revise(clients: list[Client]) -> None:
    """Change what was said, and look for it."""
    for number, client in enumerate(clients):
        room = f"room {number % 3}"
        for command in (
            React(room=room, seq=1, emoji="+", id="react"),
            React(room=room, seq=1, emoji="+", remove=number % 2 > 0),
            Edit(room=room, seq=number // 3 + 1, content=f"hello anew from {number}", id="edit"),
            Delete(room=room, seq=number // 2 + 1, id="delete"),
            SetTopic(room=room, topic=f"topic of {number}", id="topic"),
            MarkRead(room=room, seq=2, id="read"),
            Find(query="HELLO from", limit=2, id="search"),
            GetHistory(room=room, id="history"),
        ):
            client.send(command)


def digest() -> str:
    """Of all effects, as they are written."""
    return hashlib.sha256(repr(play()).encode()).hexdigest()
