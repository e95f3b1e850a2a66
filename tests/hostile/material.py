"""Keys and certificates, of a server under attack and of those who come in: only this run knows them."""

from __future__ import annotations

from pathlib import Path

from tests.auth.keyring import jwk, key_set
from tests.certificates import Authority

KEYS = {"RS256": "rsa", "ES256": "curve", "EdDSA": "edwards", "HS256": "shared"}  # algorithm → its `kid`
ISSUER, AUDIENCE = "https://login.example.org", "chat"


def write(directory: Path) -> Authority:
    """Write the files that `target.SETTINGS` name: a certificate and its key, and a set of keys of each algorithm."""
    authority = Authority(directory)
    authority.issue()
    keys = [jwk(algorithm, kid=kid) for algorithm, kid in KEYS.items()]
    (directory / "keys.json").write_bytes(key_set(*keys))
    return authority
