"""The checks. `nox -s tests` is the everyday one; `nox` alone runs all that a change must pass."""

import os
import shutil
from pathlib import Path

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
nox.options.sessions = ["tests", "lint", "types", "coverage"]
nox.options.error_on_missing_interpreters = True


REDIS = ("-p", "no:valkey", "tests/cluster")  # without a plugin that we do not use


def measured(session: nox.Session, *runs: tuple[str, ...], group: str = "test", more: Path | None = None) -> None:
    """Run pytest under branch coverage, that of its subprocesses included; data stays in the session's directory.

    What `more`, data of another session, holds is added.
    """
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, group))
    data = Path(session.create_tmp(), "coverage").resolve()
    session.env["COVERAGE_FILE"] = str(data)
    session.run("coverage", "erase")
    for arguments in runs:
        session.run("coverage", "run", "-m", "pytest", *arguments)
    if more is not None:
        shutil.copy(more, data.with_suffix(".more"))
    session.run("coverage", "combine", "--quiet")


@nox.session
def tests(session: nox.Session) -> None:
    """Fast suite under branch coverage; `nox -s tests -- -k broker` narrows it."""
    measured(session, ("-m", "not slow", *session.posargs))
    if not session.posargs:
        session.run("coverage", "report")


@nox.session
def coverage(session: nox.Session) -> None:
    """Whole suite, on Valkey, too; the package must be covered to 95 %, its core wholly.

    `-- --rest`: what `tests` left out of it; what that has measured is added.
    """
    before = ("-p", "no:valkey")
    if session.posargs == ["--rest"]:
        done = Path(session.cache_dir).parent / "tests/tmp/coverage"
        measured(session, (*before, "-m", "slow"), REDIS, group="cluster", more=done)
    else:
        measured(session, (*before, *session.posargs), REDIS, group="cluster")
    session.run("coverage", "report", "--fail-under=95")
    session.run("coverage", "report", "--fail-under=100", "--include=trio_chat/core/*")


@nox.session
def lint(session: nox.Session) -> None:
    """Rules and format."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types, of the tests too."""
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, "types"))
    session.run("mypy")


@nox.session
def bench(session: nox.Session) -> None:
    """Write docs/benchmarks.md: us and the peers, which are installed in `.nox`; `-- --short` only tries it out."""
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, "test"))
    session.run("python", "-m", "tests.benchmarks.run", *(session.posargs or ("--out", "docs/benchmarks.md")))


@nox.session
def conformance(session: nox.Session) -> None:
    """Run Autobahn's cases against an echo on our transport; `-- --short` leaves out those that send megabytes."""
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, "conformance"))
    session.run("python", "-m", "tests.conformance.run", *session.posargs)


@nox.session
def crash(session: nox.Session) -> None:
    """Hundreds of `kill -9`, in and around commits, and one checker; `nox -s crash -- --rounds 20` is over sooner."""
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, "test"))
    session.run("python", "-m", "tests.crash.harness", *(session.posargs or ("--rounds", "200")))


@nox.session
def hostile(session: nox.Session) -> None:
    """Attack a server in every way we know, and judge what is left; `nox -s hostile -- --short` takes four minutes."""
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, "test"))
    session.run("python", "-m", "tests.hostile.run", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Fuzz our server, and broken ones that must be found out; `nox -s fuzz -- --short` takes a minute and a half."""
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, "test"))
    session.run("python", "-m", "tests.fuzz.run", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """Drive the web client in Debian's Chromium, and its modules in Node; pictures are kept in `build/screenshots`."""
    if shutil.which("chromium") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        session.run("apt-get", "update", "-qq", external=True)
        session.run("apt-get", "install", "-y", "-qq", "chromium", external=True, silent=True)
    if shutil.which("chromium") is None:
        session.error("chromium is missing: apt-get install chromium")
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, "browser"))
    session.run("python", "-m", "pytest", *(session.posargs or ("tests/browser",)))
    if not session.posargs:
        files = sorted(str(file) for file in Path("tests/browser/node").glob("*.test.mjs"))
        session.run("node", "--test", *files, env={"PYTHON": f"{session.bin}/python"})


@nox.session
def cluster(session: nox.Session) -> None:
    """What needs a Redis: PyPI's embedded Valkey is installed in `.nox`; `-- --short` leaves out what is slow."""
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, "cluster"))
    chosen = ("-m", "not slow") if session.posargs == ["--short"] else tuple(session.posargs)
    session.run("pytest", *REDIS, *chosen)


@nox.session
def seed(session: nox.Session) -> None:
    """Run the message service of the older system's browser client in Node, which is installed in `.nox`."""
    session.install("-e.", *nox.project.dependency_groups(PYPROJECT, "seed"))
    session.run("pytest", "tests/seed", *session.posargs)


@nox.session
def simulate(session: nox.Session) -> None:
    """Run fresh seeds of the whole server in virtual time; `-- --short`: from 1 on; `-- --minutes 60`: an hour."""
    session.install("-e.")
    arguments = (
        ["--seed", "1", "--minutes", "0.5", "--length", "20"] if session.posargs == ["--short"] else session.posargs
    )
    session.run("trio-chat", "simulate", *(arguments or ("--minutes", "10")))


@nox.session
def docs(session: nox.Session) -> None:
    """Write the generated pages of docs/ anew."""
    session.install("-e.")
    session.run("python", "-m", "trio_chat.docs")
