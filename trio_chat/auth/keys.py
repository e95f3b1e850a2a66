"""The keys that tokens are held against. Each is good for one algorithm, which its own kind says and no token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from trio_chat.config import Auth, ConfigError

MAX_FILE = 1024 * 1024  # bytes
MAX_KEYS = 32  # of a set
MIN_SECRET = 32  # bytes, as many as HS256 gives (RFC 7518, 3.2)
MIN_RSA = 2048  # bits (RFC 7518, 3.3)
KINDS = "an RSA key, a P-256 key or an Ed25519 key"


@attrs.frozen
class Key:
    """What one algorithm needs: of HS256 the secret, of the others a public key, or a private one to sign with."""

    algorithm: str
    material: Any = attrs.field(repr=False)
    id: str | None = None  # the `kid` of a set


def load_keys(auth: Auth) -> tuple[Key, ...]:
    """The configured keys; none where `auth` is not `jwt`.

    Raises:
        ConfigError: a file cannot be read, or has no key that is good.
    """
    if auth.auth != "jwt":
        return ()
    option, path, parse = (
        ("auth_key", auth.auth_key, _one_key) if auth.auth_key else ("auth_jwks", auth.auth_jwks, _key_set)
    )
    try:
        return parse(read_file(path))
    except ValueError as error:
        raise ConfigError(option, path, f"a file with {error}") from None


def read_file(path: str) -> bytes:
    """What is in a file of keys.

    Raises:
        ValueError: it cannot be read; the text goes on from "a file with".
    """
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise ValueError(f"a key ({getattr(error, 'strerror', None) or 'no path'})") from None
    if len(raw) > MAX_FILE:
        raise ValueError(f"a key, of at most {MAX_FILE} bytes")
    return raw


def _one_key(raw: bytes) -> tuple[Key, ...]:
    if b"-----BEGIN" not in raw:
        return (secret_key(raw),)
    if b"PRIVATE KEY-----" in raw:
        raise ValueError("a public key: this one is private, and belongs to who makes the tokens")
    try:
        return (asymmetric_key(load_pem_public_key(raw)),)
    except (UnsupportedAlgorithm, TypeError):
        raise ValueError(KINDS) from None
    except ValueError as error:
        raise ValueError(_words(error, "a public key as PEM (BEGIN PUBLIC KEY)")) from None


class _WrongKeyError(ValueError):
    """A key that can be read, and is not good; the text goes on from "a file with"."""


def _words(error: ValueError, otherwise: str) -> str:
    return str(error) if isinstance(error, _WrongKeyError) else otherwise


def secret_key(raw: bytes) -> Key:
    """The key of HS256; line breaks at the end are no part of it.

    Raises:
        ValueError: it is too short, or a key of another kind, which everybody may know.
    """
    secret = raw.rstrip(b"\r\n")
    if len(secret) < MIN_SECRET:
        raise _WrongKeyError(f"a secret of at least {MIN_SECRET} bytes, or a public key as PEM")
    if secret.lstrip().startswith(b"{") or secret.startswith((b"ssh-", b"ecdsa-", b"\x30\x82")):
        raise _WrongKeyError("a secret, or a public key as PEM (a JWK Set is for auth_jwks)")
    return Key("HS256", secret)


def asymmetric_key(key: object, id: str | None = None) -> Key:
    """The one algorithm that a public or private key is for.

    Raises:
        ValueError: it is none of those that are taken.
    """
    match key:
        case RSAPublicKey() | RSAPrivateKey():
            if key.key_size < MIN_RSA:
                raise _WrongKeyError(f"an RSA key of at least {MIN_RSA} bits; this has {key.key_size}")
            return Key("RS256", key, id)
        case EllipticCurvePublicKey() | EllipticCurvePrivateKey() if isinstance(key.curve, SECP256R1):
            return Key("ES256", key, id)
        case Ed25519PublicKey() | Ed25519PrivateKey():
            return Key("EdDSA", key, id)
    raise _WrongKeyError(KINDS)


def signing_key(raw: bytes) -> Key:
    """What makes tokens: a secret, or a private key as PEM.

    Raises:
        ValueError: it is neither; the text goes on from "a file with".
    """
    if b"-----BEGIN" not in raw:
        return secret_key(raw)
    if b"PUBLIC KEY-----" in raw:
        raise ValueError("a private key: a public one cannot make tokens")
    try:
        return asymmetric_key(load_pem_private_key(raw, None))
    except (UnsupportedAlgorithm, TypeError):
        raise ValueError(f"{KINDS}, without a password") from None
    except ValueError as error:
        raise ValueError(_words(error, "a secret, or a private key as PEM")) from None


def _key_set(raw: bytes) -> tuple[Key, ...]:
    """Those of a JWK Set (RFC 7517) that are for signatures of our algorithms; the others are for somebody else."""
    try:
        entries = json.loads(raw)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        entries = None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError('a JWK Set, {"keys": […]}')
    keys = tuple(key for entry in entries if (key := _from_set(entry)) is not None)
    if not 1 <= len(keys) <= MAX_KEYS:
        raise ValueError(f"1 to {MAX_KEYS} keys for signatures with HS256, RS256, ES256 or EdDSA; it has {len(keys)}")
    return keys


def _from_set(entry: dict[str, Any]) -> Key | None:
    id, kind = entry.get("kid"), entry.get("kty")
    if entry.get("use", "sig") != "sig" or kind not in ("oct", "RSA", "EC", "OKP"):
        return None
    if kind != "oct" and "d" in entry:
        raise ValueError("public keys; one is private, and belongs to who makes the tokens")
    algorithm = {"oct": "HS256", "RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}[kind]
    if entry.get("alg", algorithm) != algorithm or entry.get("crv", "P-256") not in ("P-256", "Ed25519"):
        return None
    try:
        material = PyJWK(entry, algorithm).key
    except (PyJWTError, ValueError, TypeError, KeyError):
        raise ValueError(f"keys that are whole; one of kind {kind} is not") from None
    name = id if isinstance(id, str) else None
    return attrs.evolve(secret_key(material), id=name) if kind == "oct" else asymmetric_key(material, name)
