"""What no client should send: each is answered as the document says, and nobody else notices."""

from __future__ import annotations

from trio_chat.fuzz.acts import judged
from trio_chat.fuzz.comings import closes, first_answer
from trio_chat.fuzz.crew import Crew
from trio_chat.fuzz.ear import Ear
from trio_chat.fuzz.model import Json
from trio_chat.fuzz.peer import answer_to
from trio_chat.fuzz.promises import ANSWER, ANY_BYTES, FIRST, REFUSED, Broken
from trio_chat.fuzz.steps import Bytes, FirstFrame, Huge, Knock, Malformed, Odd

TOLERATED = 19  # malformed frames without a valid one between
BAD_INPUT = 4508
HOLE = '"?"'  # in a text: where an id goes
ODD: dict[str, Json] = {
    "connect": {"username": "somebody-else"},
    "register": {"username": "somebody-else", "password": "correct horse"},
    "login": {"username": "somebody-else", "password": "correct horse"},
    "refresh": {"token": "none"},
    "password": {"password": "correct horse", "new_password": "battery staple"},
}


def odd(crew: Crew, ear: Ear, step: Odd) -> None:
    """A command that is not for now."""
    refusals = {"already_connected"}
    if step.what != "connect":  # where they are on, and where they are not
        refusals |= {"forbidden", "bad_token", "bad_credentials", "unknown_type"}
    answer = crew.ask(ear, step, type=step.what, **ODD[step.what])
    judged(ear, answer, refusals, {"type": step.what})


def malformed(crew: Crew, ear: Ear, step: Malformed) -> None:
    """Frames that are no valid message."""
    ids = []
    for _ in range(min(step.times, TOLERATED + 1)):
        text = step.text
        if step.answered:
            ids.append(crew.new_id())
            text = text.replace(HOLE, f'"{ids[-1]}"' if isinstance(ids[-1], str) else str(ids[-1]))
            ear.asked[ids[-1]] = None
        else:
            ear.unnamed.append(step.code)
        ear.peer.send(text, step.chunks)
    for answer in crew.answers(ear, ids):
        judged(ear, answer, {step.code}, {"the frame": step.text})
    if step.times > TOLERATED:
        closes(crew, ear.peer, (BAD_INPUT,))
        ear.take()
        if ear.unnamed or ear.asked:
            raise Broken(ANSWER, f"{ear.who}: not each of {step.times} malformed frames was answered")
        crew.loses(step.client, clean=True, ends=True)


def huge(crew: Crew, ear: Ear, step: Huge) -> None:
    """One code point too many."""
    chars = int(crew.limits.get("content_chars", 0))
    if 0 < chars < crew.limits.get("message_bytes", 0) - 200:
        answer = crew.ask(ear, step, type="message", content="x" * (chars + 1))
        judged(ear, answer, {"too_large"}, {"type": "message", "content": f"{chars + 1} characters"})


def raw(crew: Crew, ear: Ear, step: Bytes) -> None:
    """Bytes that are not what a WebSocket client may send, or that it may, though nobody does."""
    data = bytes.fromhex(step.data)
    crew.transcript.note(ear.who, "→", f"the bytes {step.data}")
    ear.tolerant = True
    ear.peer.push(data, step.chunks)
    if not step.closes:
        return
    closes(crew, ear.peer, step.closes)
    ear.take()
    code = ear.peer.closed or 0
    crew.loses(step.client, clean=False, ends=code >= 4500)


def first_frame(crew: Crew, step: FirstFrame) -> None:
    """Something else than a good `connect` at the beginning."""
    peer = crew.server.open("a stranger", crew.transcript)
    answer = first_answer(crew, peer, step.text.replace(HOLE, '"first"'), step.chunks)
    if answer["type"] != "error" or answer.get("code") != step.code:
        raise Broken(FIRST, f"the first frame {step.text[:80]} should be {step.code}: {answer}")
    if answer.get("id") != ("first" if HOLE in step.text else None):
        raise Broken(ANSWER, f"the first frame {step.text[:80]} was answered under a wrong id: {answer}")
    closes(crew, peer, (step.close,))
    if peer.frames:
        raise Broken(FIRST, f"the first frame was answered twice: {peer.frames}")
    crew.strays.remove(peer)
    peer.sock.close()


def knock(crew: Crew, step: Knock) -> None:
    """A request that is refused over HTTP."""
    request = step.head.replace("HOST", crew.server.target.header).encode("latin-1")
    crew.transcript.note("a stranger", "→", step.head)
    sock = crew.server.dial()
    try:
        answer = answer_to(sock, request, step.chunks)
    except OSError as error:
        raise Broken(ANY_BYTES, f"a request was not answered ({error}): {step.head[:80]!r}") from None
    finally:
        sock.close()
    crew.transcript.note("a stranger", "←", f"HTTP {answer.status}")
    if answer.status not in (*step.statuses, 429, 503):
        raise Broken(
            REFUSED, f"should be {' or '.join(map(str, step.statuses))}, and is {answer.status}: {step.head!r}"
        )
