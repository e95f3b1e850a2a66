"""The import direction is the architecture: who may import whom, and what the core may know."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "trio_chat"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400

# A part may import itself, and whatever stands above its line. `config` is a leaf that anyone may import.
LAYERS = [
    {"redis_url"},
    {"config"},
    {"core"},
    {"schema"},
    {"log", "client", "auth", "witness"},
    {"cluster"},
    {"fuzz"},
    {"server"},
    {"sim", "bench"},
    {"settings", "logs", "cli_log", "cli_token", "cli_simulate"},
    {"cli_admin", "terminal"},
    {"cli", "run", "docs", "__main__", "__init__"},
]
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}

# What the core may use: nothing that has a clock, chance, logging or I/O in it.
PURE = {
    "__future__",
    "abc",
    "attrs",
    "bisect",
    "collections",
    "contextlib",
    "datetime",  # to write a time; reading one is refused below
    "enum",
    "fnmatch",
    "functools",
    "hashlib",
    "heapq",
    "hmac",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "msgspec",
    "operator",
    "re",
    "string",
    "types",
    "typing",
    "unicodedata",
}


def imported(module: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, at its top or within a function."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: line {node.lineno}: write imports in full"
            assert node.module is not None
            if node.module == "trio_chat":
                yield from (f"trio_chat.{alias.name}" for alias in node.names)
            else:
                yield node.module


def part(name: str) -> str:
    """`trio_chat.core.rooms` → `core`."""
    return [*name.split("."), "__init__"][1]


def wrong_imports(module: Path) -> list[str]:
    """The imports of a module that go against the layers."""
    own = part(".".join(["trio_chat", *module.relative_to(PACKAGE).with_suffix("").parts]))
    return [
        name
        for name in imported(module)
        if name.split(".")[0] == "trio_chat"
        and name != "trio_chat.__version__"
        and part(name) != own
        and RANK[part(name)] >= RANK[own]
        and own not in LAYERS[-1]
    ]


def impurities(module: Path) -> list[str]:
    """The imports of a core module that are not pure, and where it asks `datetime` for the time."""
    imports = [
        name
        for name in imported(module)
        if name.split(".")[0] not in PURE and not name.startswith(("trio_chat.core", "trio_chat.config"))
    ]
    clocks = [
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id in ("datetime", "date") and node.attr in ("now", "utcnow", "today")
    ]
    return imports + clocks


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_go_one_way(module: Path) -> None:
    assert wrong_imports(module) == []


@pytest.mark.parametrize("module", [*(PACKAGE / "core").rglob("*.py")], ids=name_of)
def test_core_is_pure(module: Path) -> None:
    assert impurities(module) == []


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_module_can_be_read_in_class(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    ("where", "statement", "refused"),
    [
        ("core/x.py", "import trio_chat.server.app", True),
        ("core/x.py", "def f():\n    from trio_chat import settings", True),
        ("core/x.py", "from trio_chat.config import Config", False),
        ("log/x.py", "from trio_chat import server", True),
        ("log/x.py", "from trio_chat import cluster", True),
        ("log/x.py", "from trio_chat.core import rooms", False),
        ("server/x.py", "from trio_chat.log import memory", False),
        ("server/x.py", "from trio_chat import __version__", False),
        ("server/x.py", "from trio_chat import serve", True),
        ("server/x.py", "import trio_chat", True),
        ("config.py", "from trio_chat.core import names", True),
        ("sim/x.py", "from trio_chat import cli", True),
        ("cli.py", "from trio_chat.server import app", False),
    ],
)
def test_the_rule_itself(
    where: str, statement: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RANK, "serve", RANK["__init__"])
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    module = tmp_path / where
    module.parent.mkdir(exist_ok=True)
    module.write_text(statement)
    assert bool(wrong_imports(module)) is refused


@pytest.mark.parametrize("name", ["time", "random", "secrets", "logging", "socket", "os", "trio", "pathlib"])
def test_the_rule_of_purity_itself(name: str, tmp_path: Path) -> None:
    module = tmp_path / "x.py"
    module.write_text(f"def f():\n    from {name} import x")
    assert impurities(module) == [name]


def test_the_core_may_write_a_time_but_not_ask_for_it(tmp_path: Path) -> None:
    module = tmp_path / "x.py"
    module.write_text("from datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)\ndatetime.now(UTC)")
    assert impurities(module) == ["datetime.now"]


def test_only_the_screen_knows_textual() -> None:
    """It is an extra, and slow to load: a server, a bot and a pipe do without."""
    known = {name_of(module) for module in MODULES for name in imported(module) if name.split(".")[0] == "textual"}
    assert known == {"terminal/app.py", "terminal/talk.py"}
    code = "import sys, trio_chat.cli, trio_chat.terminal.plain, trio_chat.client; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


@pytest.mark.parametrize("name", ["drawing", "model", "orders", "room"])
def test_what_the_screen_shows_is_pure(name: str) -> None:
    """No loop, no clock, no I/O: `model` and what it is made of can be run with a pencil."""
    known = {name.split(".")[0] for name in imported(PACKAGE / "terminal" / f"{name}.py")}
    assert not known & {
        "asyncio",
        "logging",
        "os",
        "random",
        "secrets",
        "socket",
        "textual",
        "threading",
        "time",
        "trio",
    }


def test_importing_the_core_does_not_import_trio() -> None:
    code = "import sys, trio_chat.core.state; sys.exit('trio' in sys.modules or 'trio_chat.server' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
