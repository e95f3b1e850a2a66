"""Who somebody was proven to be, before the broker hears of it: the outcome of a token or a password."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from trio_chat.core.names import parse_name

# How the user id of each kind of identity begins, by the value of `auth`: so none can be taken for another's.
PREFIX = {"guest": "guest:", "jwt": "sub:", "accounts": "account:"}
ROLES = ("member", "moderator", "owner")
_UNSAFE = re.compile(
    "[%\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"
)  # would break a key into lines, or cannot be written


@attrs.frozen(kw_only=True)
class Identity:
    """A proven user. `id` has no control characters; `name` is a valid one, or None: the one that the user has.

    `expires`: seconds since 1970, None for never. `admin`, `rooms` (name → one of `ROLES`): what the token claims.
    Of accounts: `proof` is the kept hash that the password was held against, `hash` the one to be kept from now on.
    """

    id: str
    name: str | None = None
    expires: float | None = None
    admin: bool = False
    rooms: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    proof: str = attrs.field(default="", repr=False)
    hash: str = attrs.field(default="", repr=False)


def subject_id(subject: str) -> str:
    """The user id of a token's `sub`: other subjects give other ids, and none has a control character."""
    return PREFIX["jwt"] + _UNSAFE.sub(_percent, subject)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))


def account_id(name: str) -> str:
    """The user id of an account.

    Raises:
        ValueError: that is no name.
    """
    return PREFIX["accounts"] + parse_name(name).key
