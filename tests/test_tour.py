"""The tour is true: its links lead to definitions, and a new command is the five steps that it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from trio_chat import docs

ROOT = Path(__file__).parent.parent

MESSAGES = '''

@attrs.frozen(kw_only=True)
class Roll(Command):
    """Roll a die for the room."""

    type = "roll"
    sides: int = 6


COMMANDS += (Roll,)
'''
EVENTS = '''

class Rolled(Event, frozen=True, kw_only=True, tag="rolled"):
    """A die was rolled."""

    sides: int
    id: CommandId | None = None


EVENTS += (Rolled,)
'''
HANDLER = '''

def roll(chat: Chat, session: Session, conn: ConnId, request: "messages.Roll", now: Now) -> list[Effect]:
    """Answer with the die."""
    return [Reply(conn, events.Rolled(sides=request.sides, id=request.id))]
'''
DRIVE = """
from trio_chat import docs
from trio_chat.core.chat import Secrets
from trio_chat.core.codec import Decoder, encode
from trio_chat.core.effects import Admit, Now, Received, Reply
from trio_chat.core.state import ChatState

state, now = ChatState(secrets=Secrets(boot="b", ticket_key=b"k")), Now(0.0, 0.0)
decode = Decoder(content_chars=100, message_bytes=10_000).decode
state.apply(Admit(1, "127.0.0.1"), now)
state.apply(Received(1, decode('{"type":"connect","username":"alice"}'), "token"), now)
(reply,) = state.apply(Received(1, decode('{"type":"roll","sides":20,"id":1}')), now)
assert isinstance(reply, Reply)
print(encode(reply.event).decode())
assert "`roll`" in docs.protocol() and "`rolled`" in docs.protocol()
"""


def test_every_link_of_the_tour_leads_to_a_definition_of_its_name() -> None:
    links = re.findall(r"\[`([\w.]+)`\]\(\.\./([\w/.]+)#L(\d+)\)", docs.tour())

    assert len(links) > 30
    for name, file, line in links:
        assert name.rpartition(".")[2] in (ROOT / file).read_text(encoding="utf-8").splitlines()[int(line) - 1]


def test_a_link_to_nothing_is_an_error() -> None:
    with pytest.raises(LookupError, match="defines no sreve"):
        docs._link("server/app.py", "sreve")


def test_a_new_command_is_five_steps(tmp_path: Path) -> None:
    for part in ("trio_chat", "docs"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    core = tmp_path / "trio_chat" / "core"
    with (core / "messages.py").open("a", encoding="utf-8") as file:
        file.write(MESSAGES)
    with (core / "events.py").open("a", encoding="utf-8") as file:
        file.write(EVENTS)
    with (core / "posting.py").open("a", encoding="utf-8") as file:
        file.write("\n\nfrom trio_chat.core import events, messages\n" + HANDLER)
    table = core / "commands.py"
    text = table.read_text(encoding="utf-8")
    row = "    messages.Ping: posting.ping,\n"
    assert row in text
    table.write_text(text.replace(row, row + "    messages.Roll: posting.roll,\n"), encoding="utf-8")

    ran = subprocess.run([sys.executable, "-c", DRIVE], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert ran.stderr == ""
    assert ran.stdout == '{"type":"rolled","sides":20,"id":1}\n'
