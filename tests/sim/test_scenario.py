"""Scenarios are small files: what is wrong with one is said in a line, and one that was made up can be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_chat.sim.scenario import Scenario, ScenarioError, invent, load, read

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "scenarios").glob("*.toml"))


@pytest.mark.parametrize("seed", range(50))
def test_what_is_made_up_can_be_written_and_read(seed: int) -> None:
    scenario = invent(seed)
    assert read(scenario.text) == scenario
    assert invent(seed) == scenario


def test_an_empty_file_is_a_scenario() -> None:
    assert read("") == Scenario()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seconds = ", "it is no TOML: "),
        ("seconds = 0", "seconds: expected `float` > 0.0"),
        ("seconds = nan", "seconds: expected `float` > 0.0"),
        ("seconds = 1e300", "seconds: expected `float` <= 1000000.0"),
        ("seconds = 99999999999999999999", "seconds: expected `float` <= 1000000.0"),
        ("seconds = '5'", "seconds: expected `float`, got `str`"),
        ("colour = 1", "there is no key `colour`"),
        ("[network]\ncolour = 1", "network: there is no key `colour`"),
        ("[network]\nlatency = -0.1", "network.latency: expected `float` >= 0.0"),
        ("users = []", "users: expected `array` of length >= 1"),
        ("[[users]]\ncount = 0", "users[0].count: expected `int` >= 1"),
        ("[[users]]\nevery = nan", "users[0].every: expected `float` > 0.0"),
        ("[[users]]\nbehaviour = 'dance'", "users[0].behaviour: invalid enum value 'dance'"),
        ("[[faults]]\nkind = 'cut'", "faults[0]: it lacks `at`"),
        ("[server]\nmax_attempts = 0", "server.max_attempts: 0 must be an integer from 1"),
        ("[server]\ncolour = 1", "server.colour: 1 must be an option that exists"),
        ("[server]\nauth = 'accounts'", "server: only guests come here, and without TLS"),
    ],
)
def test_what_is_wrong_is_a_line(text: str, words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read(text)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(ScenarioError, match=r"bytes\.toml: it is no TOML: not UTF-8"):
        load(tmp_path / "bytes.toml")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_the_docs(path: Path) -> None:
    assert load(path).faults


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3
