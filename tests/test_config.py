"""What is true of a value, whoever gave it."""

from __future__ import annotations

import ipaddress

import attrs
import pytest

from trio_chat.config import OPTIONS, Admission, Config, ConfigError
from trio_chat.redis_url import without_password


def test_no_option_has_two_sections() -> None:
    """The options are flat for people, so their names must differ over all sections."""
    fields = [
        field.name for section in attrs.fields(Config) for field in attrs.fields(type(getattr(Config(), section.name)))
    ]
    assert list(OPTIONS) == fields
    assert len(set(fields)) == len(fields)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_declared_for_people(name: str) -> None:
    _section, field = OPTIONS[name]
    assert field.metadata["help"].isprintable()
    assert not field.metadata["help"].endswith(".")
    assert field.metadata["must"]


def test_flat_options_reach_their_sections() -> None:
    config = Config.of(port=0, ping_interval=3.5, log_format="json")
    assert (config.listen.port, config.heartbeat.ping_interval, config.logging.log_format) == (0, 3.5, "json")
    assert config.limits == Config().limits


def test_lists_may_be_written_as_the_documents_write_them() -> None:
    config = Config.of(trusted_proxies=["10.0.0.0/8", "fd00::/8"], allowed_origins=["https://a.example"])
    assert config.listen.trusted_proxies == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    assert config.admission.allowed_origins == ("https://a.example",)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("port", 0, 65535), ("max_attempts", 1, 1_000_000), ("ban_seconds", 0.1, 31_536_000), ("drain_seconds", 0, 3600)],
)
def test_bounds_are_included(name: str, low: float, high: float) -> None:
    for value in (low, high):
        section, _field = OPTIONS[name]
        assert getattr(getattr(Config.of(**{name: value}), section), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(ConfigError, match=f"^{name}: {value} must be an? (integer|number) from "):
            Config.of(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", True),
        ("port", 1.0),
        ("port", "10000"),
        ("port", None),
        ("ping_interval", True),
        ("ping_interval", float("nan")),
        ("ping_interval", float("inf")),
        ("ping_interval", 10**400),
        ("host", ""),
        ("host", "two words"),
        ("host", 5),
        ("environment", "staging"),
        ("environment", []),
        ("log", "sqlite:"),
        ("tls_cert", 5),
        ("tls_key", "a\0b"),
        ("proxy_protocol", True),
        ("denied_addresses", "10.0.0.0/8"),
        ("log_level", "INFO"),
        ("allowed_origins", ("",)),
        ("allowed_origins", "https://example.org"),
        ("trusted_proxies", "10.0.0.0/8"),
        ("trusted_proxies", ["10.0.0.1/8"]),
        ("trusted_proxies", [5]),
    ],
)
def test_wrong_value_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.of(**{name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert str(caught.value).endswith(f"must be {OPTIONS[name][1].metadata['must']}")
    assert caught.value.option == name


@pytest.mark.parametrize("value", ["x" * 1000, 10**5000, "a\nb\x1b[31m\u2028\udcff"], ids=["long", "huge", "odd"])
def test_error_is_one_readable_line_for_any_value(value: object) -> None:
    line = str(ConfigError("port", value, "an integer"))
    assert len(line) < 120
    assert line.isprintable()


@pytest.mark.parametrize(
    "value",
    [
        "redis://ann:sesame@localhost:6379/0",
        "rediss://:se/s@sesame@localhost",
        "redis:/:sesame@localhost",
        "redis//:sesame@localhost",
        "redis:sesame@localhost",
        "redis://:" + "x" * 100 + "sesame@localhost",
        """redis://:it's"sesame@localhost""",
        "redis://:a\nsesame@localhost",
    ],
)
def test_an_error_shows_no_password(value: str) -> None:
    """A URL that is no log's may have been meant for one."""
    with pytest.raises(ConfigError, match=r"\*\*\*@localhost") as caught:
        Config.of(log=f"{value}\0")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("value", ["tape", "sqlite@home", "10.0.0.0/8", "a:b", "@a:b"])
def test_what_has_no_password_is_shown(value: str) -> None:
    assert without_password(repr(value)) == repr(value)


def test_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^prot: 1 must be an option that exists$"):
        Config.of(prot=1)


def test_outbox_must_hold_four_messages() -> None:
    assert Config.of(max_message_bytes=8192, outbox_bytes=32768).limits.outbox_bytes == 32768
    with pytest.raises(ConfigError, match=r"^outbox_bytes: 40000 must be at least 4 × max_message_bytes = 4194304$"):
        Config.of(outbox_bytes=40_000)


def test_outbox_must_hold_what_a_return_to_all_rooms_brings() -> None:
    assert Config.of(rooms_per_user=256).limits.outbox_frames == 1024
    with pytest.raises(ConfigError, match=r"^outbox_frames: 1024 must be at least 4 × rooms_per_user = 1028$"):
        Config.of(rooms_per_user=257)


def test_certificate_and_key_come_together() -> None:
    assert Config.of(tls_cert="chat.pem", tls_key="chat.key").listen.tls_key == "chat.key"
    with pytest.raises(ConfigError, match=r"^tls_key: '' must be given, too, where tls_cert is$"):
        Config.of(tls_cert="chat.pem")
    with pytest.raises(ConfigError, match=r"^tls_cert: '' must be given, too, where tls_key is$"):
        Config.of(tls_key="chat.key")


def test_a_proxy_header_is_somebodys_to_send() -> None:
    assert Config.of(proxy_protocol="on", trusted_proxies=["10.0.0.0/8"]).listen.proxy_protocol == "on"
    with pytest.raises(ConfigError, match=r"^proxy_protocol: 'on' must be off where there are no trusted_proxies$"):
        Config.of(proxy_protocol="on")


@pytest.mark.parametrize(
    ("environment", "allowed", "in_force"),
    [
        ("development", None, ("*",)),
        ("production", None, ()),
        ("development", (), ()),
        ("production", ("https://*",), ("https://*",)),
    ],
)
def test_origins_in_force(environment: str, allowed: tuple[str, ...] | None, in_force: tuple[str, ...]) -> None:
    assert Admission(environment=environment, allowed_origins=allowed).origins == in_force


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"auth": "jwt"}, "auth: 'jwt' must be together with auth_key or auth_jwks"),
        ({"auth": "jwt", "auth_key": "a", "auth_jwks": "b"}, "auth_jwks: 'b' must be left out"),
        ({"auth": "accounts", "auth_jwks": "b"}, "auth_jwks: 'b' must be left out where auth is not jwt"),
        ({"auth": "magic"}, "auth: 'magic' must be one of guest, jwt, accounts"),
        ({"auth_key": "a\0"}, "auth_key: .* must be a path"),
        ({"name_claim": "n" * 256}, "name_claim: .* must be a text of at most 255 characters"),
        ({"admins": [""]}, "admins: .* must be non-empty texts"),
    ],
)
def test_who_is_who(options: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Config.of(**options)
