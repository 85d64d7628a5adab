"""Runs a program under upstream and under this project, and keeps what each of them did."""

from __future__ import annotations

import ast
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pytest

UPSTREAM = "bytewax==0.16.2"
UPSTREAM_PYTHONS = ("python3.11", "python3.10")  # upstream has wheels up to 3.11
HERE = Path(__file__).parent
ENV_DIR = HERE / ".env"
TIME_LIMIT_S = 30
PORT_TRIES = 5
HANG_LIMIT_S = 2  # for a command that is declared to hang
HANGS = "hangs"
OUR_BUILD = ("BYTEWAX_NO_REBUILD",)  # about the editable install, not about a flow
FIELD = re.compile(r"^:([a-z ]+):(?: (.*))?$", re.MULTILINE)


@dataclass
class Command:
    """One command line of a program, and what its docstring says of the outcome."""

    words: list[str]
    exits: dict[str, int | str] = field(default_factory=dict)  # by side
    stdout: dict[str, list[str]] = field(default_factory=dict)  # by side, in differences only
    stderr_phrases: list[str] = field(default_factory=list)
    any_order: bool = False

    def exit_on(self, side: str) -> int | str:
        return self.exits.get(side, 0)


@dataclass(frozen=True)
class Outcome:
    """What one command did."""

    exit_code: int | str  # HANGS when it ran into the time limit
    stdout: str
    stderr: str

    def lines(self, *, any_order: bool) -> list[str]:
        lines = self.stdout.splitlines()
        return sorted(lines) if any_order else lines


class Program:
    """A file of `programs/` or `differences/`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = path.read_text(encoding="utf-8")
        self.commands = list(_commands(path.name, ast.get_docstring(ast.parse(self.source)) or ""))


def _commands(file_name: str, docstring: str) -> Iterator[Command]:
    command = Command(["python", file_name])
    is_default = True
    for name, value in FIELD.findall(docstring):
        if name == "run":
            if not is_default:
                yield command
            command = Command(shlex.split(value))
        elif name == "exit":
            command.exits = {"upstream": int(value), "ours": int(value)}
        elif name in ("upstream exit", "ours exit"):
            command.exits[name.split()[0]] = value if value == HANGS else int(value)
        elif name in ("upstream", "ours"):
            command.stdout.setdefault(name, []).append(value)
        elif name == "stderr":
            command.stderr_phrases.append(value)
        elif name == "order" and value == "any":
            command.any_order = True
        else:
            msg = f"{file_name}: unknown field :{name}: {value}"
            raise ValueError(msg)
        is_default = False
    yield command


class Side:
    """A Python that has one of the two Bytewaxes."""

    def __init__(self, name: str, python: str, env: dict[str, str]) -> None:
        self.name = name
        self._python = python
        self._env = env

    def run(self, program: Program) -> list[Outcome]:
        """Run the commands of a program one after the other, in one folder that holds just its file.

        Args:
            program: What to run.

        Returns:
            An outcome for each of `program.commands`.
        """
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(program.path, folder)
            return [self._run_command(command, folder) for command in program.commands]

    def _run_command(self, command: Command, folder: str) -> Outcome:
        env = dict(self._env)
        words = list(command.words)
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            env[name] = value
        assert words[0] == "python", words
        process = subprocess.Popen(
            [self._python, *words[1:]],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,  # so that the processes it spawns can be ended with it
        )
        is_hang_expected = command.exit_on(self.name) == HANGS
        try:
            stdout, stderr = process.communicate(timeout=HANG_LIMIT_S if is_hang_expected else TIME_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            return Outcome(HANGS, stdout, stderr)
        return Outcome(process.returncode, stdout, stderr)


class CachedSide(Side):
    """A side that never changes: a program runs there once."""

    def run(self, program: Program) -> list[Outcome]:
        digest = hashlib.sha256((UPSTREAM + program.source + Path(__file__).read_text("utf-8")).encode())
        kept = ENV_DIR / "outcomes" / f"{program.path.stem}-{digest.hexdigest()[:16]}.json"
        if kept.exists():
            return [Outcome(**outcome) for outcome in json.loads(kept.read_text("utf-8"))]
        for _ in range(PORT_TRIES):
            with _only_one("run.lock"):
                outcomes = super().run(program)
            if not _lost_the_port(program, outcomes):
                break
            time.sleep(1)
        else:
            return outcomes
        expected = [command.exit_on(self.name) for command in program.commands]
        if [outcome.exit_code for outcome in outcomes] == expected:
            kept.parent.mkdir(exist_ok=True)
            _write_whole(kept, json.dumps([asdict(outcome) for outcome in outcomes], indent=1))
        return outcomes


def _lost_the_port(program: Program, outcomes: list[Outcome]) -> bool:
    """Upstream's `bytewax.run -w` listens on port 2101, and so may others on this machine."""
    message = "Address already in use"
    return message not in program.source and any(message in outcome.stderr for outcome in outcomes)


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


@contextmanager
def _only_one(lock_name: str) -> Iterator[None]:
    ENV_DIR.mkdir(exist_ok=True)
    with (ENV_DIR / lock_name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _environment(*, without: tuple[str, ...]) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(without) or name in OUR_BUILD}
    return env | {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", "RUST_BACKTRACE": "0"}


def _install_upstream(folder: Path) -> None:
    """Make a virtual environment with upstream in it, unless it is there.

    Args:
        folder: Where to; what is left of an installation that was broken off is cleared away.

    Raises:
        RuntimeError: There is no Python for it, or no package index; says which.
    """
    if (folder / "complete").exists():
        return
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    pythons = [sys.executable] if own in UPSTREAM_PYTHONS else [p for p in UPSTREAM_PYTHONS if _starts(p)]
    if not pythons:
        msg = f"upstream needs one of {', '.join(UPSTREAM_PYTHONS)}; none of them starts here"
        raise RuntimeError(msg)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    env = _environment(without=("PYTHON", "LD_PRELOAD"))
    for words in (
        [pythons[0], "-m", "venv", str(folder)],
        [*pip, "--only-binary=:all:", "--retries=1", UPSTREAM],
    ):
        made = subprocess.run(words, env=env, capture_output=True, encoding="utf-8", check=False)
        if made.returncode != 0:
            msg = f"{shlex.join(words[1:])} failed: {(made.stdout + made.stderr).strip()[-300:]}"
            raise RuntimeError(msg)
    (folder / "complete").touch()


def _starts(python: str) -> bool:
    path = shutil.which(python)  # may be a shim that refuses
    return path is not None and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def load_program() -> type[Program]:
    return Program


@pytest.fixture(scope="session")
def upstream() -> Side:
    folder = ENV_DIR / "upstream"
    try:
        with _only_one("install.lock"):
            _install_upstream(folder)
    except RuntimeError as error:
        pytest.skip(str(error))
    env = _environment(without=("PYTHON", "BYTEWAX", "__BYTEWAX", "LD_PRELOAD"))
    return CachedSide("upstream", str(folder / "bin" / "python"), env)


@pytest.fixture(scope="session")
def ours() -> Side:
    return Side("ours", sys.executable, _environment(without=("BYTEWAX", "__BYTEWAX")))
