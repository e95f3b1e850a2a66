"""Keys and tokens, made as others make them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

SECRET = "a secret of more than thirty-two bytes"
PRIVATE: dict[str, Any] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
ALGORITHMS = ["HS256", *PRIVATE]


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def private_pem(key: Any) -> bytes:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def key_file(directory: Path, algorithm: str) -> Path:
    """What a server of that algorithm is given."""
    path = directory / f"{algorithm}.key"
    path.write_bytes(SECRET.encode() if algorithm == "HS256" else public_pem(PRIVATE[algorithm]))
    return path


def jwk(algorithm: str, **fields: Any) -> dict[str, Any]:
    """A key of a set."""
    kind = jwt.get_algorithm_by_name(algorithm)
    key = SECRET if algorithm == "HS256" else PRIVATE[algorithm].public_key()
    made: dict[str, Any] = kind.to_jwk(key, as_dict=True)
    made.pop("key_ops", None)
    return made | fields


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def claims(sub: str = "ann", ttl: float = 3600, **fields: Any) -> dict[str, Any]:
    given = {"sub": sub, "preferred_username": sub.title(), "exp": time.time() + ttl} | fields
    return {name: value for name, value in given.items() if value is not None}


def token(algorithm: str = "HS256", header: dict[str, Any] | None = None, **fields: Any) -> str:
    """A token; a claim that is None is left out."""
    key = SECRET if algorithm == "HS256" else PRIVATE[algorithm]
    return jwt.encode(claims(**fields), key, algorithm=algorithm, headers=header)
