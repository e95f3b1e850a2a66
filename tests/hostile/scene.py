"""What an attack is, what it is given to work with, and the table of all of them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from random import Random

import attrs

from .entrance import Entrance
from .target import Target
from .vitals import Bounds


@attrs.frozen
class Scene:
    """Where an attack takes place. `short`: it is to be over within a few seconds."""

    target: Target
    rng: Random
    short: bool

    @property
    def port(self) -> int:
        """Of the server."""
        return self.target.port

    @property
    def entrance(self) -> Entrance:
        """Of the server."""
        return self.target.entrance

    def count(self, whole: int, short: int) -> int:
        """How often, in the long mode and in the short one."""
        return short if self.short else whole


Run = Callable[[Scene], "int | Outcome"]


@attrs.frozen
class Outcome:
    """What an attack came to: how many attempts, and a remark for the table."""

    attempts: int
    remark: str = ""


@attrs.frozen
class Attack:
    """One row of the table. `run` returns the attempts; it raises `Broken` where the server did what it must not."""

    name: str
    run: Run
    setting: str
    bounds: Bounds

    @property
    def purpose(self) -> str:
        """What it does, in a line."""
        return (self.run.__doc__ or "").partition("\n")[0]


ATTACKS: dict[str, Attack] = {}


def attack(name: str, *, setting: str = "open", bounds: Bounds | None = None) -> Callable[[Run], Run]:
    """Put a function into the table, as `name`, to be run on a server with that `setting` of `target.SETTINGS`."""

    def registered(run: Run) -> Run:
        ATTACKS[name] = Attack(name, run, setting, bounds or Bounds())
        return run

    return registered


def all_attacks() -> dict[str, Attack]:
    """The table: every module of `tests.hostile.attacks`, in the order of their names, puts its attacks there."""
    from . import attacks

    for module in sorted(pkgutil.iter_modules(attacks.__path__), key=lambda one: one.name):
        importlib.import_module(f"{attacks.__name__}.{module.name}")
    return ATTACKS
