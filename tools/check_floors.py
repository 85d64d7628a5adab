"""Check that every file includes or imports only what lies below it: `check_floors.py [ROOT]`.

In C by `#include`, in Python by `ast`. A file may use its own folder (in Python: its own module) and lower floors;
never a higher one, nor a neighbour on its floor. A new folder or module gets its floor here first.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

C_FLOORS = {
    "bytewax.h": -1,  # the public header: installed alone, so it includes nothing of ours
    "base": 0,
    "progress": 1,
    "channel": 2,  # above progress: a batch bears an epoch
    "graph": 3,
    "net": 3,
    "store": 3,
    "keyed": 4,  # above graph: the harness is an operator
    "window": 5,
    "worker": 6,
    "cluster": 7,
    "binding": 8,
}
TESTING = "testing"  # engine/testing: includes all of the engine, and only tests include it

PYTHON_FLOORS = {
    "_engine": 0,
    "errors": 1,
    "parse": 1,
    "_doctest_ctx": 1,
    "inputs": 2,
    "outputs": 2,
    "_cluster": 2,
    "_relay": 2,
    "_local_cluster": 3,
    "dataflow": 3,
    "operators": 4,
    "windowing": 4,
    "_plan": 4,
    "_spawn": 4,
    "_encoder": 4,
    "execution": 5,
    "connectors": 6,
    "testing": 6,
    "run": 7,
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
IMPORT_BY_NAME = re.compile(r'PyImport_\w+\(\s*"(bytewax\b[^"]*)"')


def check_c(root: Path) -> Iterator[str]:
    """Find what is wrong with the includes of `engine/` and `binding/`."""
    files = [*root.glob("engine/**/*.[ch]"), *root.glob("binding/**/*.[ch]")]
    for path in sorted(files):
        name = path.relative_to(root)
        folder = c_folder(name)
        if folder != TESTING and folder not in C_FLOORS:
            yield f"{name}: {folder} has no floor; give it one in tools/check_floors.py"
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start(2)) + 1
            for complaint in check_include(path, folder, match[1] == "<", match[2]):
                yield f"{name}:{line}: {complaint}"
        for match in IMPORT_BY_NAME.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: imports {match[1]}, but the extension imports nothing of the package"


def c_folder(name: Path) -> str:
    """Say in which folder a file is, as C_FLOORS names it."""
    if name.parts[0] == "binding":
        return "binding"
    return name.parts[1]


def check_include(path: Path, folder: str, is_system: bool, included: str) -> Iterator[str]:
    """Check one include of a file in `folder`."""
    if Path(included).name == "Python.h":
        if folder != "binding":
            yield "includes Python.h, which only binding/ may"
        return
    if is_system:
        return
    target = included.split("/")[0]
    if target == included and (path.parent / included).exists():
        return  # beside the file
    is_test = path.name.endswith("_test.c") or folder == TESTING
    if target == TESTING:
        if not is_test:
            yield f'includes "{included}", which only tests may'
    elif target not in C_FLOORS:
        yield f'includes "{included}": {target} has no floor; give it one in tools/check_floors.py'
    elif folder == TESTING or target == folder:
        if target == "binding":
            yield f'includes "{included}": the engine knows nothing of the binding'
    elif C_FLOORS[target] > C_FLOORS[folder]:
        yield f'includes "{included}", which is above {folder}'
    elif C_FLOORS[target] == C_FLOORS[folder]:
        yield f'includes "{included}", a neighbour of {folder}: what two share moves down'


def check_python(root: Path) -> Iterator[str]:
    """Find what is wrong with the imports of the package."""
    package = root / "python" / "bytewax"
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.pyi")]):
        name = path.relative_to(root)
        module = path.relative_to(package).parts[0].split(".")[0]
        if module not in PYTHON_FLOORS:
            yield f"{name}: {module} has no floor; give it one in tools/check_floors.py"
            continue
        parts = ["bytewax", *path.relative_to(package).parts[:-1]]
        for line, imported in imports(ast.parse(path.read_text(), str(path)), parts):
            if imported == module:
                continue
            if imported not in PYTHON_FLOORS:
                yield f"{name}:{line}: imports bytewax.{imported}, which has no floor"
            elif PYTHON_FLOORS[imported] > PYTHON_FLOORS[module]:
                yield f"{name}:{line}: imports bytewax.{imported}, which is above {module}"
            elif PYTHON_FLOORS[imported] == PYTHON_FLOORS[module]:
                yield f"{name}:{line}: imports bytewax.{imported}, a neighbour of {module}: what two share moves down"


def imports(tree: ast.AST, parts: list[str]) -> Iterator[tuple[int, str]]:
    """Find the modules of the package that a module in the package `parts` imports, wherever it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, [base, node.module]))
            names = [f"{source}.{alias.name}" for alias in node.names] if source == "bytewax" else [source]
        else:
            continue
        for name in names:
            if name.startswith("bytewax."):
                yield node.lineno, name.split(".")[1]


def main() -> int:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    complaints = [*check_c(root), *check_python(root)]
    for complaint in complaints:
        print(complaint)
    print(f"floors: {len(complaints)} violations" if complaints else "floors: all is in order")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
