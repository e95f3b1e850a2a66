"""What a simulation plays, as a small TOML file: the server's options, network and disk, who comes, what goes wrong.

seconds = 60
[server]                      # options of the server, as in its own file
max_attempts = 20
[network]
latency = 0.05                # seconds, one way; and `jitter`; `pieces`: the share of writes that arrive in pieces
[disk]
latency = 0.004               # seconds that a commit takes, about
[[users]]
count = 20
behaviour = "chat"            # see `Behaviour`
every = 2.0                   # seconds between two things that one does, about
addresses = 1                 # that they are behind, in all
[[faults]]
kind = "crash"                # see `Kind`
at = 20.0
lasts = 2.0                   # seconds
share = 0.5                   # of the connections, where it is theirs
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from trio_chat.config import Config, ConfigError
from trio_chat.sim.chance import branch

Behaviour: TypeAlias = Literal[
    "chat",  # says things, edits, deletes, reacts, looks things up, comes and goes in rooms
    "talk",  # only says things
    "listen",  # only listens
    "churn",  # comes for a moment, and leaves
    "sleepy",  # talks, and now and then does not read for a quarter of a minute
]
Kind: TypeAlias = Literal[
    "crash",  # the process is killed; after `lasts` the next one starts
    "deploy",  # it drains and ends; `lasts` after that the next one starts
    "cut",  # connections break
    "stall",  # nothing arrives over connections, for `lasts`
    "vanish",  # they go deaf: nothing arrives any longer, and nobody is told
    "disk_full",  # nothing can be committed, for `lasts`
]
Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=1_000_000)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]


class ScenarioError(ValueError):
    """A scenario is none; `str()` is one line for people."""


class NetworkPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """See `network.Weather`."""

    latency: Annotated[float, Meta(ge=0, le=60)] = 0.02
    jitter: Annotated[float, Meta(ge=0, le=60)] = 0.02
    pieces: Share = 0.2


class DiskPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`latency`: of a commit, in seconds."""

    latency: Annotated[float, Meta(ge=0, le=60)] = 0.004


class UsersPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some users who behave alike."""

    count: Annotated[int, Meta(ge=1, le=10_000)] = 1
    behaviour: Behaviour = "chat"
    every: Annotated[float, Meta(gt=0, le=100_000)] = 1.0
    addresses: Annotated[int, Meta(ge=1, le=10_000)] = 1_000
    positions: Share = 0.7  # of their resumes that say where they stand


class FaultPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that goes wrong, once."""

    kind: Kind
    at: Seconds
    lasts: Seconds = 1.0
    share: Share = 1.0


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it. After `seconds` comes a quiet phase: all come back, and everything is compared."""

    seconds: Annotated[float, Meta(gt=0, le=1_000_000)] = 60.0
    server: dict[str, Any] = msgspec.field(default_factory=dict)
    network: NetworkPlan = NetworkPlan()
    disk: DiskPlan = DiskPlan()
    users: Annotated[tuple[UsersPlan, ...], Meta(min_length=1)] = (UsersPlan(count=5),)
    faults: tuple[FaultPlan, ...] = ()

    @property
    def config(self) -> Config:
        """The server's.

        Raises:
            ScenarioError: an option is wrong.
        """
        try:
            config = Config.of(**{"log": "memory", **self.server})
        except ConfigError as error:
            raise ScenarioError(f"server.{error}") from None
        if config.auth.auth != "guest" or config.listen.tls_cert:
            raise ScenarioError("server: only guests come here, and without TLS")
        return config

    @property
    def text(self) -> str:
        """It as a file; what is as by default is left out."""
        return "\n".join(_lines(msgspec.to_builtins(self))) + "\n"


def _lines(given: dict[str, Any]) -> list[str]:
    lines = [f"seconds = {given['seconds']}"]
    for table, default in (("server", {}), ("network", NetworkPlan()), ("disk", DiskPlan())):
        usual = msgspec.to_builtins(default)
        changed = {name: value for name, value in given[table].items() if usual.get(name) != value}
        lines += [f"[{table}]", *_pairs(changed)] if changed else []
    for table, usual in (("users", UsersPlan()), ("faults", FaultPlan(kind="cut", at=0.0))):
        for one in given[table]:
            lines += [f"[[{table}]]"]
            always = ("count", "behaviour", "kind", "at")
            known = msgspec.to_builtins(usual)
            lines += _pairs({name: value for name, value in one.items() if name in always or known[name] != value})
    return lines


def _pairs(values: dict[str, Any]) -> list[str]:
    return [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()]


def read(text: str) -> Scenario:
    """The scenario of a file.

    Raises:
        ScenarioError: it is none.
    """
    try:
        scenario = msgspec.convert(tomllib.loads(text), Scenario)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"it is no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ScenarioError(_told(str(error))) from None
    _ = scenario.config
    return scenario


def _told(error: str) -> str:
    """What msgspec says, as all of our tools do: first where, then what."""
    what, _, where = error.partition(" - at `$")
    for theirs, ours in (
        ("Object contains unknown field", "there is no key"),
        ("Object missing required field", "it lacks"),
    ):
        what = what.replace(theirs, ours)
    what = what[0].lower() + what[1:]
    return f"{where.rstrip('`').lstrip('.')}: {what}" if where else what


def load(path: Path) -> Scenario:
    """The scenario in a file.

    Raises:
        ScenarioError: it cannot be read, or is none.
    """
    try:
        return read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path}: it is no TOML: not UTF-8") from None
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None


# What a scenario that chance makes is made of.
_SERVERS: tuple[dict[str, Any], ...] = (
    {},
    {"history_limit": 30},
    {"outbox_frames": 64, "rooms_per_user": 16},
    {"resume_window": 20.0},
    {"presence_limit": 3},
    {"ping_interval": 5.0, "ping_timeout": 3.0},
)
_KINDS: tuple[Kind, ...] = ("crash", "crash", "deploy", "cut", "cut", "stall", "vanish", "disk_full")


def invent(seed: int, *, users: int = 0, seconds: float = 0.0) -> Scenario:
    """A scenario that `seed` alone decides; `users` and `seconds` where they are given."""
    rng = branch(seed, "scenario")
    length = seconds or rng.choice((20.0, 40.0, 90.0, 300.0))
    groups = [_group(rng, users or rng.choice((2, 3, 5, 8)), "chat")]
    if not users:
        behaviours: tuple[Behaviour, ...] = ("talk", "listen", "churn", "sleepy")
        groups += [_group(rng, rng.randrange(1, 4), rng.choice(behaviours)) for _ in range(rng.randrange(3))]
    faults = [
        FaultPlan(
            kind=rng.choice(_KINDS),
            at=round(rng.uniform(1, length), 2),
            lasts=round(rng.choice((0.1, 1, 5, 20)) * rng.uniform(0.5, 1), 2),
            share=rng.choice((0.2, 0.5, 1.0)),
        )
        for _ in range(rng.randrange(1, 7))
    ]
    return Scenario(
        seconds=length,
        server={"trusted_addresses": ["10.0.0.0/8"], **rng.choice(_SERVERS)},
        network=NetworkPlan(latency=rng.choice((0.0, 0.02, 0.2)), jitter=rng.choice((0.0, 0.02, 0.3)), pieces=0.3),
        disk=DiskPlan(latency=rng.choice((0.0, 0.004, 0.1))),
        users=tuple(groups),
        faults=tuple(sorted(faults, key=lambda fault: fault.at)),
    )


def _group(rng: Random, count: int, behaviour: Behaviour) -> UsersPlan:
    return UsersPlan(count=count, behaviour=behaviour, every=rng.choice((0.2, 0.5, 1.0, 3.0)))
