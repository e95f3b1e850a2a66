"""What is typed, and what it means."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.terminal.orders import MODERATION, RULES, Order, Say, help_lines, parse


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("hello", Say("hello")),
        (" /join x", Say(" /join x")),
        ("//join x", Say("/join x")),
        ("/join  tea room ", Order("join", text="tea room")),
        ("/JOIN x", Order("join", text="x")),
        ("/leave", Order("leave")),
        ("/msg bob", Order("msg", word="bob")),
        ("/msg bob hi there", Order("msg", word="bob", text="hi there")),
        ('/msg "Bob B" hi there', Order("msg", word="Bob B", text="hi there")),
        ("/edit #12 new", Order("edit", 12, text="new")),
        ("/edit 12 apples", Order("edit", text="12 apples")),
        ("/edit #no number", Order("edit", text="#no number")),
        ("/delete", Order("delete")),
        ("/delete 7", Order("delete", 7)),
        ("/delete #7", Order("delete", 7)),
        ("/react 7 👍", Order("react", 7, "👍")),
        ("/react 👍", Order("react", word="👍")),
        ("/react 7️⃣", Order("react", word="7️⃣")),
        ("/kick bob he shouts", Order("kick", word="bob", text="he shouts")),
        ("/topic", Order("topic")),
        ("/quit", Order("quit")),
    ],
)
def test_what_it_means(typed: str, meant: Order | Say) -> None:
    assert parse(typed) == meant


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("/", "There is no /. /help lists what is."),
        ("/xyzzy", "There is no /xyzzy. /help lists what is."),
        ("/edti x", "There is no /edti. Did you mean /edit?"),
        ("/join", "It is /join TEXT"),
        ("/edit #3", "It is /edit [#N] TEXT"),
        ("/delete x", "It is /delete [#N]"),
        ("/react 7", "It is /react [#N] NAME"),
        ("/react 7 a b", "It is /react [#N] NAME"),
        ('/msg "" hi', "It is /msg NAME [TEXT]"),
        ("/quit now", "It is /quit"),
    ],
)
def test_a_mistake(typed: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        parse(typed)


@given(st.from_regex(r"\A/?(edit|msg|react|delete|[a-z]{0,5}) ?[#\"0-9a-z ]*\Z"))
def test_any_line_means_something_or_is_told(typed: str) -> None:
    with suppress(ValueError):
        assert parse(typed) == Say(typed) or typed.startswith("/")


def test_help_names_every_order() -> None:
    words = " ".join(help_lines())
    assert [rule.name for rule in RULES if f"/{rule.name}" not in words] == []
    assert {*MODERATION} <= {rule.name for rule in RULES}
