import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def check(root):
    command = [sys.executable, str(ROOT / "tools" / "check_floors.py"), str(root)]
    result = subprocess.run(command, capture_output=True, text=True)
    return result.returncode, result.stdout


@pytest.fixture
def tree(tmp_path):
    """Make a copy of what is checked, to plant violations in."""
    for folder in ["engine", "binding", "python/bytewax"]:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return tmp_path


def test_the_project_keeps_to_its_floors():
    assert check(ROOT) == (0, "floors: all is in order\n")


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("engine/base/planted.c", '#include "worker/worker.h"', "which is above base"),
        ("engine/progress/planted.h", '#include "channel/queue.h"', "which is above progress"),
        ("engine/graph/planted.h", '#include "store/store.h"', "a neighbour of graph"),
        ("engine/graph/planted.c", "  #  include <Python.h>", "which only binding/ may"),
        ("engine/worker/planted.c", '#include "testing/check.h"', "which only tests may"),
        ("engine/testing/planted.c", '#include "binding/state.h"', "knows nothing of the binding"),
        (
            "engine/cluster/planted.c",
            '#include "cluster/../nowhere/x.h"\n#include "lost/x.h"',
            "lost has no floor",
        ),
        ("engine/bytewax.h", '#include "base/status.h"', "which is above bytewax.h"),
        ("engine/attic/planted.c", "", "attic has no floor"),
        ("binding/planted.c", 'PyImport_ImportModule("bytewax.errors")', "imports nothing of the package"),
        ("python/bytewax/errors.py", "import bytewax.dataflow", "which is above errors"),
        ("python/bytewax/inputs.py", "from bytewax.outputs import Output", "a neighbour of inputs"),
        ("python/bytewax/dataflow.py", "def f():\n    from bytewax import run", "which is above dataflow"),
        ("python/bytewax/inputs.py", "from . import testing", "which is above inputs"),
        ("python/bytewax/inputs.py", "from .connectors.files import FileInput", "which is above inputs"),
        ("python/bytewax/_engine.pyi", "from bytewax.errors import X", "which is above _engine"),
        ("python/bytewax/attic.py", "", "attic has no floor"),
    ],
)
def test_a_planted_violation_is_found(tree, file, line, complaint):
    path = tree / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as planted:
        planted.write(f"\n{line}\n")
    code, output = check(tree)
    assert code == 1
    assert any(found.startswith(file) and complaint in found for found in output.splitlines()), output


def test_what_is_below_and_beside_is_allowed(tree):
    (tree / "engine/worker/planted.c").write_text('#include "base/status.h"\n#include "worker/worker.h"\n')
    (tree / "engine/worker/planted_test.c").write_text('#include "testing/check.h"\n')
    (tree / "binding/planted.c").write_text('#include "compat.h"\n#include "cluster/cluster.h"\n')
    assert check(tree)[0] == check(ROOT)[0]
