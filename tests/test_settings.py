"""Flags, environment and file: who wins, what is converted, and how a mistake is named."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_chat.config import OPTIONS, Config, ConfigError
from trio_chat.settings import flag, is_list, load, toml, variable

NETWORKS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
    lambda ip: st.integers(0, ip.max_prefixlen).map(lambda bits: ipaddress.ip_network((ip, bits), strict=False))
)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1)
PATTERNS = WORDS.filter(lambda text: "," not in text)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "host": WORDS,
    "port": st.integers(0, 65535),
    "environment": st.sampled_from(["development", "production"]),
    "allowed_origins": st.lists(PATTERNS).map(tuple),
    "trusted_proxies": st.lists(NETWORKS).map(tuple),
    "max_rooms": st.integers(1, 10_000_000),
    "ping_interval": st.floats(0.1, 86_400),
    "history_days": st.floats(0.001, 36_500),
    "resume_window": st.integers(0, 31_536_000),
    "log_level": st.sampled_from(["debug", "info", "warning", "error"]),
}
OPTION_SETS = st.fixed_dictionaries({}, optional=VALUES)


def text(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def line(flags: Mapping[str, object] = {}, environ: Mapping[str, str] = {}, path: str | None = None) -> str:
    """The error that these sources cause, which must be one line."""
    with pytest.raises(ConfigError) as caught:
        load(flags, environ, path)
    result = str(caught.value)
    assert result.isprintable()
    return result


def config_or_line(environ: Mapping[str, str]) -> Config | str:
    try:
        return load({}, environ).config
    except ConfigError as error:
        return str(error)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`chat.toml`, to be written by the test, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path("chat.toml")


@given(options=OPTION_SETS)
def test_flags_give_the_same_config(options: dict[str, Any]) -> None:
    flags = {
        name: ([text(item) for item in value] or [""]) if is_list(name) else text(value)
        for name, value in options.items()
    }
    assert load(flags, {}).config == Config.of(**options)


@given(options=OPTION_SETS)
def test_environment_gives_the_same_config(options: dict[str, Any]) -> None:
    environ = {
        variable(name): ",".join(map(text, value)) if is_list(name) else text(value) for name, value in options.items()
    }
    settings = load({}, environ)
    assert settings.config == Config.of(**options)
    assert {name for name, source in settings.sources.items() if source != "default"} == set(options)


@given(options=OPTION_SETS)
def test_file_gives_the_same_config(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("".join(f"{name} = {toml(value)}\n" for name, value in options.items()))
    assert load({}, {}, str(path)).config == Config.of(**options)


@given(st.dictionaries(st.sampled_from(sorted(OPTIONS)), st.text(), max_size=3))
def test_any_text_is_a_config_or_one_line(texts: dict[str, str]) -> None:
    outcome = config_or_line({variable(name): value for name, value in texts.items()})
    if isinstance(outcome, str):
        named = outcome.partition(":")[0]  # it may be another's default that does not go with what was given
        assert named.startswith("TRIO_CHAT_") or named.removesuffix(" (the default)") in OPTIONS
        assert outcome.isprintable()  # which a line break is not


@given(content=st.binary(max_size=60).map(lambda tail: b"port = " + tail))
def test_any_file_is_a_config_or_one_line(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.toml"
    path.write_bytes(content)
    outcome = config_or_line({"TRIO_CHAT_CONFIG": str(path)})
    assert outcome.isprintable() if isinstance(outcome, str) else type(outcome.listen.port) is int


def test_stronger_source_wins(file: Path) -> None:
    file.write_text("port = 1\nmax_rooms = 2\nenvironment = 'production'\nlog_level = 'debug'\n")
    environ = {"PORT": "3", "TRIO_CHAT_PORT": "4", "ENVIRONMENT": "development", "TRIO_CHAT_MAX_ROOMS": "5"}
    settings = load({"max_rooms": "6"}, environ, "chat.toml")
    config = settings.config
    assert (config.listen.port, config.limits.max_rooms) == (4, 6)
    assert (config.admission.environment, config.logging.log_level) == ("development", "debug")
    names = ("port", "max_rooms", "environment", "log_level", "host")
    assert [settings.sources[name] for name in names] == [
        "TRIO_CHAT_PORT",
        "flag",
        "ENVIRONMENT",
        "chat.toml",
        "default",
    ]


def test_file_is_named_by_flag_or_else_by_variable(file: Path) -> None:
    file.write_text("port = 1")
    other = Path("other.toml")
    other.write_text("port = 2")
    assert load({}, {"TRIO_CHAT_CONFIG": "chat.toml"}).config.listen.port == 1
    assert load({}, {"TRIO_CHAT_CONFIG": "chat.toml"}, "other.toml").config.listen.port == 2


def test_what_is_overridden_is_not_converted() -> None:
    """Some platforms set PORT to something that is no number; a stronger source must be able to help."""
    assert load({"port": "1"}, {"PORT": "tcp://10.0.0.1:80"}).config.listen.port == 1


@pytest.mark.parametrize("texts", [[""], []])
def test_lone_empty_text_is_the_empty_list(texts: list[str]) -> None:
    assert load({"allowed_origins": texts}, {}).config.admission.allowed_origins == ()
    assert load({}, {"TRIO_CHAT_ALLOWED_ORIGINS": ",".join(texts)}).config.admission.allowed_origins == ()


def test_spaces_around_commas_are_ignored() -> None:
    networks = load({}, {"TRIO_CHAT_TRUSTED_PROXIES": "10.0.0.0/8, ::1"}).config.listen.trusted_proxies
    assert networks == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.mark.parametrize("value", ["", " 1", "1_0", "+1", "1.0", "0x10", "٣", "true", "1" * 5000, "inf", "1e3"])
def test_integer_is_strict(value: str) -> None:
    assert line({"port": value}).startswith("--port: '")
    assert line({}, {"PORT": value}).endswith(" must be an integer from 0 to 65535")


@pytest.mark.parametrize(
    "value", ["", " 1", "1_0", "nan", "inf", "-inf", "infinity", "1e999", "-1", ".", "1e", "٣", "0"]
)
def test_number_is_strict(value: str) -> None:
    assert line({}, {"TRIO_CHAT_PING_INTERVAL": value}).startswith("TRIO_CHAT_PING_INTERVAL: ")


@pytest.mark.parametrize(("value", "seconds"), [("1", 1), ("1.5", 1.5), (".5", 0.5), ("2.", 2), ("1e2", 100)])
def test_number_has_the_usual_forms(value: str, seconds: float) -> None:
    assert load({"ping_interval": value}, {}).config.heartbeat.ping_interval == seconds


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("port = true", "port in chat.toml: True must be an integer from 0 to 65535"),
        ("port = 1.0", "port in chat.toml: 1.0 must be an integer from 0 to 65535"),
        ("port = '1'", "port in chat.toml: '1' must be an integer from 0 to 65535"),
        ("ping_interval = inf", "ping_interval in chat.toml: inf must be a number from 0.1 to 86400"),
        ("ping_interval = nan", "ping_interval in chat.toml: nan must be a number from 0.1 to 86400"),
        ("host = ''", "host in chat.toml: '' must be an address or a host name"),
        (
            "trusted_proxies = ['::/0', '10.0.0.0/33']",
            "trusted_proxies in chat.toml: '10.0.0.0/33' must be a CIDR network such as 10.0.0.0/8",
        ),
        (
            "trusted_proxies = ['10.1.0.0/8']",
            "trusted_proxies in chat.toml: '10.1.0.0/8' must be a CIDR network such as 10.0.0.0/8 "
            "(did you mean 10.0.0.0/8?)",
        ),
        ("trusted_proxies = [1]", "trusted_proxies in chat.toml: 1 must be a CIDR network such as 10.0.0.0/8"),
        (
            "trusted_proxies = '::/0'",
            "trusted_proxies in chat.toml: '::/0' must be an array; each item a CIDR network such as 10.0.0.0/8",
        ),
        (
            "allowed_origins = ['']",
            "allowed_origins in chat.toml: '' must be a non-empty pattern such as https://*.example.org",
        ),
        ("prot = 1", "prot in chat.toml: no such option. Did you mean port?"),
        ("[zzz]", "zzz in chat.toml: no such option."),
        ("'a\\nb' = 1", "a\\\\nb in chat.toml: no such option."),
        ("port = ", "--config: 'chat.toml' must be TOML without errors (Invalid value (at end of document))"),
        (
            "port = 0x" + "f" * 5000,
            "port in chat.toml: a number of thousands of digits must be an integer from 0 to 65535",
        ),
    ],
)
def test_mistake_in_the_file_is_named(file: Path, content: str, expected: str) -> None:
    file.write_text(content)
    assert line(path="chat.toml") == expected


@pytest.mark.parametrize(
    ("content", "end"),
    [
        (b"host = '\xff'", "must be TOML in UTF-8 (byte 8 is not)"),
        (b"port = " + b"9" * 5000, ")"),
        (b"a = " + b"[" * 100_000, "must be TOML without such deep nesting"),
        (b"#" * 1024 * 1024 + b"#", "must be a TOML file of at most 1048576 bytes"),
    ],
    ids=["encoding", "digits", "nesting", "size"],
)
def test_unreadable_content_is_an_error_of_the_file(file: Path, content: bytes, end: str) -> None:
    file.write_bytes(content)
    result = line({}, {"TRIO_CHAT_CONFIG": "chat.toml"})
    assert result.startswith("TRIO_CHAT_CONFIG: 'chat.toml' must be TOML") or "must be a TOML file" in result
    assert result.endswith(end)


@pytest.mark.parametrize(
    ("path", "reason"),
    [("missing.toml", "No such file or directory"), (".", "Is a directory"), ("a\0b", "embedded null byte")],
)
def test_file_that_cannot_be_read(file: Path, path: str, reason: str) -> None:
    assert line(path=path) == f"--config: {path!r} must be a TOML file that can be read ({reason})"


def test_unknown_variable_is_refused_even_if_a_flag_is_given() -> None:
    expected = "TRIO_CHAT_PROT: no such option. Did you mean TRIO_CHAT_PORT?"
    assert line({"port": "1"}, {"TRIO_CHAT_PROT": "1"}) == expected
    assert line({}, {"TRIO_CHAT_port": "1"}).endswith("Did you mean TRIO_CHAT_PORT?")
    assert line({}, {"TRIO_CHAT_\nZZZZZZZZ": "1"}) == "TRIO_CHAT_\\nZZZZZZZZ: no such option."


def test_error_of_two_options_names_the_one_that_was_typed() -> None:
    must = "must be at least 4 × max_message_bytes"
    assert line({"outbox_bytes": "40000"}) == f"--outbox-bytes: 40000 {must} = 4194304"
    assert (
        line({}, {"TRIO_CHAT_MAX_MESSAGE_BYTES": "2000000"}) == f"outbox_bytes (the default): 4194304 {must} = 8000000"
    )


def test_typed_is_the_name_that_the_person_wrote(file: Path) -> None:
    file.write_text("host = '::1'")
    settings = load({"max_rooms": "1"}, {"PORT": "1"}, "chat.toml")
    names = [settings.typed(name) for name in ("max_rooms", "port", "host", "log")]
    assert names == ["--max-rooms", "PORT", "host in chat.toml", "log"]


def test_other_names_of_an_option_follow_from_its_name() -> None:
    assert (flag("max_attempts"), variable("max_attempts")) == ("--max-attempts", "TRIO_CHAT_MAX_ATTEMPTS")
