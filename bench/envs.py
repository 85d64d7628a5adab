"""What is measured, made ready: Python environments, the C programs and the Rust program.

All of it lies in `bench/.env`. Each function returns a path, or raises `Missing` with the reason why there is none.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
ENV = BENCH / ".env"
BUILD = Path(ROOT, os.environ.get("BUILD", "build"))


class Missing(Exception):  # noqa: N818 - not an error: that engine is skipped
    """Why something can't be measured here."""


def upstream(version: str, *, make: bool) -> Path:
    """An interpreter with upstream's release from PyPI, in an environment of its own."""
    python = ENV / f"bytewax-{version}" / "bin" / "python"
    ready = python.parent / "ready"
    if not ready.exists():
        if not make:
            msg = "its environment is made by the full benchmark"
            raise Missing(msg)
        new_environment(python, f"bytewax=={version}")
        ready.touch()
    return python


def ours() -> Path:
    """An interpreter with this tree installed as a user has it: from a wheel, built now."""
    folder = ENV / "bytewax"
    shutil.rmtree(folder, ignore_errors=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # meson and ninja are there
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    call([*pip(sys.executable), "wheel", *options, str(ROOT)], PATH=path)
    (wheel,) = folder.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    new_environment(python, str(wheel))
    return python


def new_environment(python: Path, requirement: str) -> None:
    folder = python.parent.parent
    shutil.rmtree(folder, ignore_errors=True)
    call([sys.executable, "-m", "venv", str(folder)])
    call([*pip(python), "install", "--only-binary=:all:", requirement])


def pip(python: str | Path) -> list[str]:
    return [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]


def ideal() -> Path:
    """The folder that holds the extension `bench_ideal`."""
    target = ENV / "ideal" / f"bench_ideal{sysconfig.get_config_var('EXT_SUFFIX')}"
    flags = ["-shared", "-fPIC", f"-I{sysconfig.get_path('include')}"]
    compile_c(BENCH / "ideal" / "ideal.c", target, flags, [])
    return target.parent


def c_program(name: str) -> Path:
    """A program of `c/`, linked with the engine that `make build` has built."""
    library, target = BUILD / "engine" / "libbytewax.a", ENV / "c" / name
    if not library.exists():
        msg = f"{library.relative_to(ROOT)} is missing: run `make build`"
        raise Missing(msg)
    flags = ["-std=c17", "-Wall", "-Wextra", "-flto=auto", "-pthread", f"-I{ROOT / 'engine'}"]
    compile_c(BENCH / "c" / f"{name}.c", target, flags, [library], system_libraries())
    return target


def system_libraries() -> list[str]:
    """What the linker is told of the libraries that the engine stands on."""
    if shutil.which("pkg-config") is None:
        msg = "there is no pkg-config"
        raise Missing(msg)
    names = ["libuv", "libssl", "libcrypto"]
    done = subprocess.run(["pkg-config", "--libs", *names], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(done.stderr.strip())
    return done.stdout.split()


def compile_c(source: Path, target: Path, flags: list[str], libraries: list[Path], others: Sequence[str] = ()) -> None:
    newest = max(path.stat().st_mtime for path in [source, *libraries])
    if target.exists() and target.stat().st_mtime > newest:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    compiler = os.environ.get("CC", "cc").split()
    call([*compiler, "-O2", *flags, "-o", str(target), str(source), *map(str, libraries), *others])


def timely(*, make: bool) -> Path:
    """The Rust program on the timely crate."""
    target = ENV / "timely"
    program = target / "release" / "exchange"
    if not make and not program.exists():
        msg = "it is built by the full benchmark"
        raise Missing(msg)
    if make:
        if shutil.which("cargo") is None:
            msg = "there is no cargo"
            raise Missing(msg)
        manifest = BENCH / "timely" / "Cargo.toml"
        command = ["cargo", "build", "--release", "--locked", "-q", "--manifest-path", str(manifest)]
        call(command, CARGO_TARGET_DIR=str(target))
    return program


def call(command: list[str], **environment: str) -> None:
    """Runs a command; `Missing` with the end of what it said if it fails, all of which goes to stderr."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        said = (done.stderr.strip() or done.stdout.strip() or "nothing was said").splitlines()[-1]
        message = f"`{' '.join(Path(word).name or word for word in command[:4])} ...` failed: {said}"
        raise Missing(message)
