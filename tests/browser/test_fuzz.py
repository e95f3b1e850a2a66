"""`trio-chat fuzz --client`: our JavaScript client does nothing wrong, in Node and in a page."""

from __future__ import annotations

import json
import shutil
import sys

import pytest

from tests.e2e.process import ROOT
from trio_chat.cli import main
from trio_chat.fuzz import client_tool
from trio_chat.fuzz.bait import LURES

BOTS = {
    "Node": f"{shutil.which('node')} --experimental-websocket {ROOT}/tests/browser/node/bot.mjs",
    "Chromium": f"{sys.executable} -m tests.browser.bot",
}
FINAL = (4500, 4999)  # the first and the last: each is a client that is started anew


@pytest.mark.parametrize("bot", BOTS.values(), ids=list(BOTS))
def test_the_client_of_pages_passes(
    bot: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_tool, "STOP_CODES", FINAL)
    code = main(["fuzz", "--client", "--run", bot, "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["wrong"] == []
    assert code == 0
    assert told["untried"] == ["`Retry-After` of a 503: a page is not shown it"]
    assert len(told["tried"]) == len(LURES) + len(FINAL)
