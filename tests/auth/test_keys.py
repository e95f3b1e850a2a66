"""Files of keys: what is good, and what each that is not is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.auth.keyring import ALGORITHMS, PRIVATE, SECRET, jwk, key_file, key_set, private_pem, public_pem
from trio_chat.auth.keys import MAX_FILE, load_keys, signing_key
from trio_chat.config import Auth, Config, ConfigError

WEAK = rsa.generate_private_key(65537, 1024)
OTHER = ec.generate_private_key(ec.SECP384R1())


def load(tmp_path: Path, raw: bytes, option: str = "auth_key") -> list[str]:
    path = tmp_path / "file"
    path.write_bytes(raw)
    return [key.algorithm for key in load_keys(Config.of(auth="jwt", **{option: str(path)}).auth)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_key_is_good_for_one_algorithm(algorithm: str, tmp_path: Path) -> None:
    (key,) = load_keys(Auth(auth="jwt", auth_key=str(key_file(tmp_path, algorithm))))
    assert key.algorithm == algorithm
    assert SECRET not in repr(key)
    assert load(tmp_path, key_set(jwk(algorithm, kid="one")), "auth_jwks") == [algorithm]


def test_no_keys_are_read_without_jwt() -> None:
    assert load_keys(Auth(auth_key="/nowhere")) == ()


def test_a_line_break_is_no_part_of_a_secret(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(f"{SECRET}\r\n")
    (key,) = load_keys(Auth(auth="jwt", auth_key=str(tmp_path / "file")))
    assert key.material == SECRET.encode()


@pytest.mark.parametrize(
    ("raw", "must"),
    [
        (b"", "a secret of at least 32 bytes"),
        (b"x" * 31 + b"\n", "a secret of at least 32 bytes"),
        (b"x" * (MAX_FILE + 1), "of at most"),
        (key_set(jwk("HS256")), "a JWK Set is for auth_jwks"),
        (b"ssh-rsa " + b"A" * 64, "a secret, or a public key"),
        (private_pem(PRIVATE["RS256"]), "this one is private"),
        (public_pem(WEAK), "at least 2048 bits; this has 1024"),
        (public_pem(OTHER), "an RSA key, a P-256 key or an Ed25519 key"),
        (b"-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n", "a public key as PEM"),
    ],
)
def test_a_key_that_is_not_good(raw: bytes, must: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=must) as caught:
        load(tmp_path, raw)
    assert str(caught.value).startswith("auth_key: ")
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(ConfigError, match=r"must be a file with a key \("):
            load_keys(Auth(auth="jwt", auth_key=str(path)))


def test_what_is_for_others_is_left_out_of_a_set(tmp_path: Path) -> None:
    others = [
        jwk("RS256", use="enc"),
        jwk("RS256", alg="RS512"),
        {"kty": "new"},
        {"kty": "EC", "crv": "P-384", "x": "a", "y": "b"},
    ]
    assert load(tmp_path, key_set(*others, jwk("ES256"), jwk("EdDSA")), "auth_jwks") == ["ES256", "EdDSA"]


@pytest.mark.parametrize(
    ("raw", "must"),
    [
        (b"", "a JWK Set"),
        (b"[]", "a JWK Set"),
        (b'{"keys": [1]}', "a JWK Set"),
        (b"[" * 100_000, "a JWK Set"),
        (b'{"keys": []}', "1 to 32 keys .* it has 0"),
        (key_set(*[jwk("HS256")] * 33), "it has 33"),
        (key_set({"kty": "oct", "k": "AAAA"}), "a secret of at least 32 bytes"),
        (key_set({"kty": "RSA", "n": "AAAA"}), "keys that are whole; one of kind RSA is not"),
        (key_set(jwk("RS256", d="secret")), "one is private"),
    ],
)
def test_a_set_that_is_not_good(raw: bytes, must: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=must) as caught:
        load(tmp_path, raw, "auth_jwks")
    assert str(caught.value).startswith("auth_jwks: ")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_signs(algorithm: str) -> None:
    raw = SECRET.encode() if algorithm == "HS256" else private_pem(PRIVATE[algorithm])
    assert signing_key(raw).algorithm == algorithm


@pytest.mark.parametrize(
    ("raw", "must"),
    [
        (public_pem(PRIVATE["RS256"]), "a private key"),
        (private_pem(OTHER), "a P-256 key"),
        (b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", "a secret, or a private key as PEM"),
        (b"short", "a secret of at least 32 bytes"),
    ],
)
def test_what_does_not_sign(raw: bytes, must: str) -> None:
    with pytest.raises(ValueError, match=must):
        signing_key(raw)
