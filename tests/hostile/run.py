"""Attack a server in every way of the table, and judge what is left: `python -m tests.hostile.run`.

A bystander is connected before an attack and stays; another client comes when it is over. Memory is back when RSS,
without what the allocator keeps (see `tests.hostile.server`), is within a bound of what it was before, within seconds.
As a heap keeps its fragments, too, an attack that exceeds that is made once more: what the second time adds is a leak,
what the first did was room to work in.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random

import attrs

from .report import Row, page, summary, table
from .scene import Attack, Outcome, Scene, all_attacks
from .swarm import Dial, Swarm
from .target import PROGRAM, Target, TargetError
from .vitals import Vitals, complaints, excess, traces
from .wire import Broken, upgrade
from .witness import Seen, Witness, newcomer

NOBODY = Seen(0, 0.0, 0.0, 0.0, 0, [])
LOOK = 0.2  # seconds between two looks at a process that is to come to rest
QUIET = 0.4  # seconds without a line in the log: longer than sessions that were lost are kept
FIRST = 300  # connections before the first attack: what is made once is made then


class Siege:
    """One server, its bystander, and the attacks on them."""

    def __init__(
        self, setting: str, *, seed: int, short: bool, directory: Path, program: tuple[str, ...] = PROGRAM
    ) -> None:
        self._setting, self._seed, self._short = setting, seed, short
        self._directory, self._program = directory, program
        self._calm = 0.0  # of a core, with the bystander alone
        self._newcomers = 0
        self._start()

    def _start(self) -> None:
        self.target = Target(self._directory, self._setting, self._program)
        try:
            self.witness = Witness(self.target.entrance)
            try:
                self._warm_up()
            except BaseException:
                self.witness.stop()
                raise
        except BaseException:
            self.target.stop()
            raise

    def _warm_up(self) -> None:
        sources = [f"127.0.1.{n % 250}" for n in range(FIRST)]
        Swarm(self.target.port).run(Dial(upgrade(), source, "fin") for source in sources)
        for n in range(3):
            newcomer(self.target.entrance, f"early {n}")
        time.sleep(0.5)
        one = self.target.vitals()
        time.sleep(0.7)
        two = self.target.vitals()
        self._calm = (two.cpu - one.cpu) / (two.at - one.at)
        self.first = two
        self.witness.report()

    def stop(self) -> list[str]:
        """End it; what was wrong with its end."""
        self.witness.stop()
        if not self.target.alive:
            return [f"the server had ended by itself, with {self.target.process.returncode}"]
        code = self.target.stop()
        return [f"the server ended with {code}"] if code else []

    def suffer(self, attack: Attack) -> Row:
        """One attack, and the verdict; a server that did not survive is replaced."""
        row = self._once(attack)
        if any(fault.startswith("memory") and "more than before" in fault for fault in row.faults):
            again = self._once(attack)
            row = attrs.evolve(again, remark=f"{row.memory:+.1f} MiB the first time; {again.remark}".rstrip("; "))
        if not self.target.alive or any("bystander" in fault for fault in row.faults):
            self.stop()
            self._start()
        return row

    def _once(self, attack: Attack) -> Row:
        self.target.trim()
        before, logged = self.target.vitals(), self.target.log_size
        self.target.forget_peak()
        faults: list[str] = []
        outcome: Outcome | None = None
        seen, after = NOBODY, before
        began = time.monotonic()
        try:
            done = attack.run(Scene(self.target, Random(f"{self._seed} {attack.name}"), self._short))
            outcome = done if isinstance(done, Outcome) else Outcome(done)
        except (Broken, TimeoutError) as wrong:
            faults.append(str(wrong) or "nothing came for too long")
        except OSError as wrong:
            faults.append(f"the attack could not go on: {wrong!r}")
        seconds = time.monotonic() - began
        try:
            seen = self.witness.report()
        except Broken as wrong:
            faults.append(str(wrong))
        faults += seen.faults
        if seen.slowest > attack.bounds.ping:
            faults.append(f"the bystander waited {seen.slowest:.1f} s for an answer, of at most {attack.bounds.ping:g}")
        self._newcomers += 1
        faults += newcomer(self.target.entrance, f"newcomer {self._newcomers}")
        if self.target.alive:
            after, left = self._settle(before, attack)
            faults += left + excess(before, after, attack.bounds)
        else:
            faults.append(f"the server ended with {self.target.process.returncode}")
        log = self.target.logged(logged).decode(errors="replace")
        faults += complaints(log, None if outcome is None else outcome.attempts, attack.bounds)
        outcome = outcome or Outcome(0)
        return Row(attack.name, self._setting, outcome, seconds, seen, before, after, len(log.splitlines()), faults)

    def _settle(self, before: Vitals, attack: Attack) -> tuple[Vitals, list[str]]:
        """Look until all is as it was, or the time is up: how it is then, and what is not as it was."""
        deadline = time.monotonic() + attack.bounds.settle
        last, size = self.target.vitals(), self.target.log_size
        quiet = last.at + QUIET
        while True:
            time.sleep(LOOK)
            now, logged = self.target.vitals(), self.target.log_size
            if logged != size:
                size, quiet = logged, now.at + QUIET
            share = (now.cpu - last.cpu) / (now.at - last.at) - self._calm
            if now.at >= quiet or now.at > deadline:
                kept = now.rss
                self.target.trim()
                now = attrs.evolve(self.target.vitals(), kept=kept)
                left = traces(before, now, share, attack.bounds)
                if not left or now.at > deadline:
                    return now, left
            last = now


def besiege(attacks: list[Attack], *, seed: int, short: bool, program: tuple[str, ...] = PROGRAM) -> list[Row]:
    """All `attacks`, those with one setting on one server; told on stderr as they end.

    Raises:
        TargetError: a server did not start.
    """
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="hostile-") as directory:
        for setting in dict.fromkeys(attack.setting for attack in attacks):
            with ExitStack() as stack:
                siege = Siege(setting, seed=seed, short=short, directory=Path(directory), program=program)
                stack.callback(siege.target.stop)
                for attack in (attack for attack in attacks if attack.setting == setting):
                    rows.append(siege.suffer(attack))
                    print(rows[-1], file=sys.stderr, flush=True)
                last = rows[-1]
                rows[-1] = attrs.evolve(last, faults=[*last.faults, *siege.stop()])
    return rows


def chosen(names: list[str]) -> list[Attack]:
    """The attacks of these names, or those that have one of them within theirs; none: all. Exits on a wrong one."""
    known = all_attacks()
    wrong = [name for name in names if not any(name in one for one in known)]
    if wrong:
        sys.exit(f"there is no attack {wrong[0]!r}; --list has them all")
    return [attack for name, attack in known.items() if not names or any(one in name for one in names)]


def main() -> int:
    """Run them, print the table; 1 if anything is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="fewer of everything: four minutes at most")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="attacks with this in their name")
    parser.add_argument("--list", action="store_true", help="name them, and do nothing")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--out", type=Path, help="a file for a page with the table")
    options = parser.parse_args()
    attacks = chosen(options.only)
    if options.list:
        for attack in attacks:
            print(f"{attack.name} ({attack.setting}): {attack.purpose}")
        return 0
    began = time.monotonic()
    print(f"seed {options.seed}, {len(attacks)} attacks", file=sys.stderr, flush=True)
    try:
        rows = besiege(attacks, seed=options.seed, short=options.short)
    except (TargetError, Broken) as error:
        sys.exit(str(error))
    told = summary(rows, options.seed, time.monotonic() - began, options.short)
    print(f"{table(rows)}\n\n{told}")
    if options.out is not None:
        options.out.write_text(page(rows, told, options.out, short=options.short), encoding="utf-8")
    return 1 if any(row.faults for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
