"""docs/operations.md: its commands are good ones, and its signals are handled."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from trio_chat import cli
from trio_chat.client.place import checked

PAGE = (Path(__file__).parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line.removesuffix(" &"))
    for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("trio-chat ")
]


@pytest.fixture(autouse=True)
def no_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those that the page's commands make, where they are looked for."""
    monkeypatch.chdir(tmp_path)
    for words in COMMANDS:
        if words[1] == "token":
            assert cli.main(words[1:]) == 0


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("words", [words for words in COMMANDS if words[1].startswith("--")], ids=" ".join)
def test_a_command_that_serves_has_good_options(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Those that are given, and not only some of them."""
    capsys.readouterr()
    assert cli.main(["check-config", *words[1:]]) == 0
    flags = {word[2:].replace("-", "_") for word in words if word.startswith("--")}
    shown = dict(line.split(" ", 1) for line in capsys.readouterr().out.splitlines())
    assert flags
    assert {name for name, rest in shown.items() if rest.endswith("# flag")} == flags


def test_the_load_of_the_page_is_one_of_this_machine() -> None:
    (bench,) = [words for words in COMMANDS if words[1] == "bench"]
    assert checked(bench[2], False, "loads") == bench[2]


def test_certificates_of_the_page_are_those_that_it_makes() -> None:
    made = re.search(r"openssl req .* -keyout (\S+) -out (\S+)$", PAGE, re.MULTILINE)
    assert made is not None
    serving = [words for words in COMMANDS if "--tls-cert" in words]
    assert {(words[words.index("--tls-key") + 1], words[words.index("--tls-cert") + 1]) for words in serving} == {
        made.groups()
    }
