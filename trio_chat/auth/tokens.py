"""JSON Web Tokens (RFC 7519): whether one is good, and who it says that its bearer is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import jwt
from jwt.types import Options

from trio_chat.auth.keys import Key
from trio_chat.config import Auth
from trio_chat.core.identity import ROLES, Identity, subject_id
from trio_chat.core.names import RULE, parse_name

MAX_TOKEN = 8192  # characters
MAX_ROOMS = 1000  # that a token may claim
LEEWAY = 10.0  # seconds by which the clock of who made a token may differ from ours
LAST = 253_370_764_800.0  # 9999-01-01: what is later cannot be written as a timestamp
# Of the claims we look ourselves: by the server's clock, and to say which is wrong.
SIGNATURE_ONLY: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class BadTokenError(Exception):
    """A token proves nothing; `str()` says why, and is for its bearer."""


class Tokens:
    """Holds tokens against the keys, and against what the configuration says of their claims.

    `wall` gives seconds since 1970.
    """

    def __init__(self, auth: Auth, keys: tuple[Key, ...], wall: Callable[[], float]) -> None:
        self._auth, self._keys, self._wall = auth, keys, wall
        self._name_claim = auth.name_claim.replace("Username", "username")  # as it is said: see `core.errors`

    def identity(self, token: str) -> Identity:
        """Who the bearer is.

        Raises:
            BadTokenError: the token is not good.
        """
        claims = self._claims(token)
        expires = _time(claims, "exp")
        if expires is None:
            raise BadTokenError("The token must have exp, the time when it expires")
        now = self._wall()
        if expires + LEEWAY <= now:
            raise BadTokenError("The token has expired")
        if (_time(claims, "nbf") or 0.0) - LEEWAY > now:
            raise BadTokenError("The token is not valid yet")
        if self._auth.auth_issuer and claims.get("iss") != self._auth.auth_issuer:
            raise BadTokenError("The token's iss is not the one that is asked for here")
        audience = claims.get("aud")
        if self._auth.auth_audience and self._auth.auth_audience not in (
            audience if isinstance(audience, list) else [audience]
        ):
            raise BadTokenError("The token's aud is not the one that is asked for here")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 1 <= len(subject) <= 255:
            raise BadTokenError("The token's sub must be a string of 1-255 characters")
        roles = claims.get("roles")
        return Identity(
            id=subject_id(subject),
            name=self._name(claims),
            expires=expires + LEEWAY,
            admin=isinstance(roles, list) and "admin" in roles,
            rooms=_rooms(claims.get("rooms")),
        )

    def _claims(self, token: str) -> Mapping[str, Any]:
        """What a token says whose signature is one of a key of ours, made with that key's algorithm."""
        if len(token) > MAX_TOKEN:
            raise BadTokenError(f"The token must be at most {MAX_TOKEN} characters")
        try:
            wanted = jwt.get_unverified_header(token).get("kid")
            # Which key is meant is no secret; with which algorithm it is used is for no token to say.
            named = [key for key in self._keys if wanted is not None and key.id == wanted]
            for key in named or [key for key in self._keys if wanted is None or key.id is None]:
                try:
                    return jwt.decode(token, key.material, algorithms=[key.algorithm], options=SIGNATURE_ONLY)
                except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError, jwt.InvalidKeyError):
                    continue
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise BadTokenError("The token cannot be read") from None
        raise BadTokenError("The token's signature is not good")

    def _name(self, claims: Mapping[str, Any]) -> str:
        name = claims.get(self._auth.name_claim)
        if not isinstance(name, str):
            raise BadTokenError(f"The token must have {self._name_claim}, the name to be shown")
        try:
            return parse_name(name).text
        except ValueError:
            raise BadTokenError(f"The token's {self._name_claim} must be {RULE}") from None


def _time(claims: Mapping[str, Any], claim: str) -> float | None:
    """Seconds since 1970; None where the claim is left out."""
    value = claims.get(claim)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LAST or not math.isfinite(value):
        raise BadTokenError(f"The token's {claim} must be a number of seconds since 1970")
    return float(value)


def _rooms(claimed: object) -> dict[str, str]:
    """Room → role: from a list of rooms, or from an object of rooms with the role in each."""
    must = f"The token's rooms must be a list of names, or an object that gives a name one of {', '.join(ROLES)}"
    if claimed is None:
        return {}
    if isinstance(claimed, list):
        claimed = {room: "member" for room in claimed if isinstance(room, str)} if _strings(claimed) else None
    if not isinstance(claimed, dict) or len(claimed) > MAX_ROOMS:
        raise BadTokenError(must)
    rooms = {}
    for room, role in claimed.items():
        try:
            rooms[parse_name(room).text] = role
        except ValueError:
            raise BadTokenError(must) from None
        if role not in ROLES:
            raise BadTokenError(must)
    return rooms


def _strings(values: list[object]) -> bool:
    return all(isinstance(value, str) for value in values)
