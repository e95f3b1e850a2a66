"""What is typed: a text to be said, or an order that begins with a slash. One table says what each order takes."""

from __future__ import annotations

import re
from difflib import get_close_matches

import attrs


@attrs.frozen
class Order:
    """An order as it was typed: of what follows its name, as much as it takes."""

    name: str
    number: int | None = None  # of a message: its `seq`
    word: str = ""
    text: str = ""


@attrs.frozen
class Say:
    """A text to be said in the room."""

    content: str


@attrs.frozen
class Rule:
    """What an order takes: `#N`, a `NAME` (in quotes, where it has spaces), the rest. In brackets: may be missing."""

    name: str
    takes: str
    help: str


RULES = (
    Rule("join", "TEXT", "go into the room TEXT, which is made where there is none"),
    Rule("leave", "[TEXT]", "leave this room, or the room TEXT"),
    Rule("open", "TEXT", "look at a room you are in; Ctrl+N and Ctrl+P go to the next and the previous one"),
    Rule("msg", "NAME [TEXT]", "write to somebody in private, or open the conversation"),
    Rule("me", "TEXT", "say what you do"),
    Rule("reply", "[#N] TEXT", "answer message N, or the last one"),
    Rule("edit", "[#N] TEXT", "write message N anew, or your last one"),
    Rule("delete", "[#N]", "delete message N, or your last one"),
    Rule("react", "[#N] NAME", "put an emoji (NAME) to message N, or to the last one"),
    Rule("unreact", "[#N] NAME", "take it back"),
    Rule("search", "TEXT", "find messages in all your rooms"),
    Rule("rooms", "", "list the rooms that there are"),
    Rule("topic", "[TEXT]", "set the topic of this room, or take it away"),
    Rule("invite", "NAME", "let somebody come into this private room"),
    Rule("kick", "NAME [TEXT]", "send somebody out of this room; TEXT says why"),
    Rule("mute", "NAME [TEXT]", "let somebody say no more here; /unmute takes it back"),
    Rule("unmute", "NAME", ""),
    Rule("ban", "NAME [TEXT]", "let somebody in no more; /unban takes it back"),
    Rule("unban", "NAME", ""),
    Rule("promote", "NAME", "make somebody a moderator here; /demote takes it back"),
    Rule("demote", "NAME", ""),
    Rule("block", "NAME", "hear nothing more in private of somebody; /unblock takes it back"),
    Rule("unblock", "NAME", ""),
    Rule("retry", "", "send again what was not sent"),
    Rule("drop", "", "throw away what was not sent in this room"),
    Rule("help", "", "show this"),
    Rule("quit", "", "leave; Ctrl+Q, too"),
)
MODERATION = ("kick", "mute", "unmute", "ban", "unban", "promote", "demote")
_RULES = {rule.name: rule for rule in RULES}
_NUMBER = re.compile(r"#?(\d{1,15})(?=\s|$)\s*")
_HASHED = re.compile(r"#(\d{1,15})(?=\s|$)\s*")
_NAME = re.compile(r'"([^"]*)"\s*|(\S+)\s*')


def parse(typed: str) -> Order | Say:
    """What a typed line means. A line that begins with two slashes is said, with one of them.

    Raises:
        ValueError: there is no such order, or it needs more, or less; its text says so.
    """
    if not typed.startswith("/"):
        return Say(typed)
    if typed.startswith("//"):
        return Say(typed[1:])
    name, _, rest = typed[1:].partition(" ")
    rule = _RULES.get(name.lower())
    if rule is None:
        near = get_close_matches(name.lower(), _RULES, 1)
        raise ValueError(f"There is no /{name}." + (f" Did you mean /{near[0]}?" if near else " /help lists what is."))
    return _read(rule, rest.strip())


def usage(rule: Rule) -> str:
    """How an order is typed."""
    return f"/{rule.name} {rule.takes}".strip()


def help_lines() -> list[str]:
    """All orders, a line each."""
    width = max(len(usage(rule)) for rule in RULES)
    return [f"{usage(rule):{width}}  {rule.help}" for rule in RULES if rule.help]


def _read(rule: Rule, rest: str) -> Order:
    number, word = None, ""
    takes = rule.takes
    if "#N" in takes:
        # Where a text follows, only `#12` is a number: `/edit 12 apples` writes "12 apples".
        found = (_HASHED if "TEXT" in takes else _NUMBER).match(rest)
        if found is not None:
            number, rest = int(found[1]), rest[found.end() :]
    if "NAME" in takes:
        found = _NAME.match(rest)
        if found is not None:
            word, rest = (found[1] or found[2] or "").strip(), rest[found.end() :]
    missing = ("NAME" in takes and not word) or (takes.endswith("TEXT") and not rest)
    if missing or (rest and "TEXT" not in takes):
        raise ValueError(f"It is {usage(rule)}")
    return Order(rule.name, number, word, rest)
