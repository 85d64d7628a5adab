"""Print the requirements of extras of pyproject.toml, one a line: `extras.py build test`."""

import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # CPython 3.10
    from pip._vendor import tomli as tomllib

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"

if __name__ == "__main__":
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    for name in sys.argv[1:]:
        print("\n".join(extras[name]))
