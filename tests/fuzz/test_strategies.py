"""What the strategies call good is good, and what they call wrong is wrong: our own decoder agrees."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from trio_chat.core.codec import Decoder
from trio_chat.core.messages import Bad
from trio_chat.fuzz.peer import cut
from trio_chat.fuzz.shrink import smaller
from trio_chat.fuzz.steps import MAX_BURST, Malformed, Plan
from trio_chat.fuzz.strategies import BUILT, HOLE, PROFILES, chunkings, commands, ids, malformed, nearly_good, plans
from trio_chat.fuzz.wire import TEXT, Parser, encode

DECODER = Decoder(content_chars=10_000, message_bytes=1 << 20)


@given(commands(), ids())
def test_good_frames_are_good(frame: dict[str, Any], answer_to: str | int) -> None:
    command = DECODER.decode(json.dumps({**frame, "id": answer_to}))
    assert not isinstance(command, Bad), command
    assert command.id == answer_to


@settings(max_examples=20)
@given(st.data())
def test_there_are_frames_of_each_command(data: st.DataObject) -> None:
    for command in BUILT:
        frame = data.draw(commands(command.type))
        assert isinstance(DECODER.decode(json.dumps(frame)), command)


@given(nearly_good())
def test_nearly_good_frames_are_bad(frame: dict[str, Any]) -> None:
    verdict = DECODER.decode(json.dumps({**frame, "id": 7}))
    assert isinstance(verdict, Bad), verdict
    assert (verdict.code.value, verdict.id) == ("bad_message", 7)


@given(malformed())
def test_malformed_texts_are_called_what_they_are(step: Malformed) -> None:
    verdict = DECODER.decode(step.text)
    assert isinstance(verdict, Bad), verdict
    assert (verdict.code.value, verdict.id) == (step.code, HOLE if step.answered else None)


@given(st.binary(max_size=400), chunkings())
def test_no_byte_is_lost_where_a_stream_is_cut(data: bytes, places: tuple[int, ...]) -> None:
    assert b"".join(cut(data, [abs(place) for place in places])) == data


@given(st.binary(max_size=200) | st.binary(min_size=65_530, max_size=65_540), chunkings(), st.booleans())
def test_frames_come_out_as_they_went_in(payload: bytes, places: tuple[int, ...], mask: bool) -> None:
    parser = Parser(masks=mask)
    pieces = cut(encode(TEXT, payload, mask=mask) * 2, [abs(place) for place in places])
    frames = [frame for piece in pieces for frame in parser.feed(piece)]
    assert [(frame.opcode, frame.payload, frame.fin) for frame in frames] == [(TEXT, payload, True)] * 2


@given(plans(PROFILES["normal"]))
def test_what_is_called_smaller_is(plan: Plan) -> None:
    """So that cutting down ends."""

    def size(one: Plan) -> tuple[int, int]:
        return len(one), sum(len(repr(step)) + min(getattr(step, "times", 0), MAX_BURST) for step in one.steps)

    others = list(smaller(plan))
    assert others
    for other in others[:50]:
        assert other != plan
        assert len(other) <= len(plan)
    assert min(map(size, others)) < size(plan)
