"""`trio-chat token`: a newcomer makes tokens, and each mistake is one line."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from tests.auth.keyring import PRIVATE, SECRET, private_pem, public_pem
from trio_chat import cli


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(["token", *words]) == 0
    return capsys.readouterr().out.strip()


def test_all_that_it_can_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    key.write_text(SECRET)
    made = run(
        capsys, "--key", str(key), "--sub", "1", "--name", "ＡＮＮ", "--ttl", "60", "--room", "den=owner",
        "--room", "tea",
        "--role", "admin", "--issuer", "us", "--audience", "chat", "--name-claim", "nick",
    )  # fmt: skip
    claims = jwt.decode(made, SECRET, algorithms=["HS256"], audience="chat", issuer="us")
    assert claims.pop("exp") - claims.pop("iat") == 60
    assert claims == {
        "sub": "1",
        "nick": "ANN",
        "rooms": {"den": "owner", "tea": "member"},
        "roles": ["admin"],
        "iss": "us",
        "aud": "chat",
    }


def test_a_key_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--key", str(tmp_path / "key"), "--make-key", "--sub", "1", "--name", "Ann"]
    first = run(capsys, *words)
    secret = (tmp_path / "key").read_text().strip()
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    for made in (first, run(capsys, *words)):
        assert jwt.decode(made, secret, algorithms=["HS256"])["sub"] == "1"


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_with_a_private_key(algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    key.write_bytes(private_pem(PRIVATE[algorithm]))
    made = run(capsys, "--key", str(key), "--sub", "1", "--name", "Ann")
    assert jwt.decode(made, PRIVATE[algorithm].public_key(), algorithms=[algorithm])["preferred_username"] == "Ann"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--key", "/nowhere"], "--key: '/nowhere' must be a file with a key (No such file or directory)"),
        (
            ["--key", "/nowhere/key", "--make-key"],
            "--key: '/nowhere/key' must be a file that can be made (No such file",
        ),
        (["--sub", ""], "--sub: '' must be a text of 1-255 characters"),
        (["--name", "@"], "--name: '@' must be 1-32 letters"),
        (["--ttl", "0"], "--ttl: 0.0 must be a number of seconds from 1"),
        (["--ttl", "nan"], "--ttl: nan must be a number of seconds from 1"),
        (["--room", "den=king"], "--room: 'den=king' must be NAME or NAME=ROLE"),
        (["--room", "@=owner"], "--room: '@=owner' must be NAME or NAME=ROLE"),
    ],
)
def test_a_mistake(words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"--key": str(tmp_path / "public"), "--sub": "1", "--name": "Ann"}
    (tmp_path / "public").write_text(SECRET)
    plain = [word for name, value in given.items() if name not in words for word in (name, value)]
    assert cli.main(["token", *plain, *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert len(err.splitlines()) == 1


def test_a_public_key_makes_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    key.write_bytes(public_pem(PRIVATE["ES256"]))
    assert cli.main(["token", "--key", str(key), "--sub", "1", "--name", "Ann"]) == 2
    assert "a public one cannot make tokens" in capsys.readouterr().err
