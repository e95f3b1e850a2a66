"""`trio-chat token`: make a token to try out `auth` = `jwt` with, and if need be the key for it."""

from __future__ import annotations

import os
import secrets
import time
from typing import Annotated, Any

from cyclopts import Parameter

from trio_chat.config import ConfigError

SECRET_BYTES = 48
ROLES = ("member", "moderator", "owner")
TTL_RULE = "a number of seconds from 1 to 3153600000"


def token(
    *,
    sub: Annotated[str, Parameter(help="the user id: whom it is of")],
    name: Annotated[str, Parameter(help="the name to be shown")],
    key: Annotated[str, Parameter(help="file with a secret, or with a private key as PEM", metavar="FILE")],
    make_key: Annotated[
        bool, Parameter(help="make that file, with a secret, if it is not there", negative="", show_default=False)
    ] = False,
    ttl: Annotated[float, Parameter(help="seconds that it lasts")] = 3600,
    room: Annotated[
        list[str] | None, Parameter(help="room to be in, NAME or NAME=ROLE; may be repeated", negative="")
    ] = None,
    role: Annotated[
        list[str] | None, Parameter(help="role in the server, such as admin; may be repeated", negative="")
    ] = None,
    issuer: Annotated[str, Parameter(help="its iss")] = "",
    audience: Annotated[str, Parameter(help="its aud")] = "",
    name_claim: Annotated[str, Parameter(help="claim that has the name")] = "preferred_username",
) -> int:
    """Print a token, signed with a key, to try out a server that has the same secret, or the public key."""
    from trio_chat.auth.keys import read_file, signing_key  # here, so that other commands load no cryptography

    claims = _claims(sub, name, ttl, room or [], role or [], name_claim)
    claims |= {claim: value for claim, value in (("iss", issuer), ("aud", audience)) if value}
    if make_key:
        _make_secret(key)
    try:
        signer = signing_key(read_file(key))
    except ValueError as error:
        raise ConfigError("--key", key, f"a file with {error}") from None
    import jwt

    print(jwt.encode(claims, signer.material, algorithm=signer.algorithm))
    return 0


def _claims(sub: str, name: str, ttl: float, rooms: list[str], roles: list[str], name_claim: str) -> dict[str, Any]:
    from trio_chat.core.names import RULE, parse_name

    if not 1 <= len(sub) <= 255:
        raise ConfigError("--sub", sub, "a text of 1-255 characters")
    if not 1 <= ttl <= 3_153_600_000:  # also of NaN
        raise ConfigError("--ttl", ttl, TTL_RULE)
    try:
        shown = parse_name(name).text
    except ValueError:
        raise ConfigError("--name", name, RULE) from None
    now = int(time.time())
    claims: dict[str, Any] = {"sub": sub, name_claim: shown, "iat": now, "exp": now + int(ttl)}
    if rooms:
        claims["rooms"] = dict(map(_room, rooms))
    if roles:
        claims["roles"] = roles
    return claims


def _room(written: str) -> tuple[str, str]:
    from trio_chat.core.names import parse_name

    name, role = written.rsplit("=", 1) if "=" in written else (written, "member")
    try:
        parse_name(name)
    except ValueError:
        role = ""
    if role not in ROLES:
        raise ConfigError("--room", written, f"NAME or NAME=ROLE, a name of a room and one of {', '.join(ROLES)}")
    return name, role


def _make_secret(path: str) -> None:
    """Make the file, for its owner only; one that is there stays."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no path"
        raise ConfigError("--key", path, f"a file that can be made ({reason})") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{secrets.token_urlsafe(SECRET_BYTES)}\n")
