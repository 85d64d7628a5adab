"""Loader of an editable install of bytewax: rebuilds the extension before it is first imported.

It finds nothing itself: the folders of the package are on `sys.path`. Set `BYTEWAX_NO_REBUILD` to import
what was built last.
"""

import fcntl
import importlib.abc
import os
import shutil
import subprocess
import sys

EXTENSION = "bytewax._engine"


class Rebuilder(importlib.abc.MetaPathFinder):
    """Stands before all other finders until the extension is asked for."""

    def __init__(self, build_dir):
        self.build_dir = build_dir

    def find_spec(self, fullname, path=None, target=None):
        """Find nothing: the finders after this one know where it is."""
        if fullname == EXTENSION:
            sys.meta_path.remove(self)
            if not os.environ.get("BYTEWAX_NO_REBUILD"):
                rebuild(self.build_dir)


def rebuild(build_dir):
    """Run ninja in the build folder; ImportError with what it said if that fails."""
    places = [os.path.join(sys.prefix, "bin"), os.environ.get("PATH", os.defpath)]
    path = os.pathsep.join(places)
    ninja = shutil.which("ninja", path=path)
    if ninja is None:
        msg = "an editable install of bytewax rebuilds on import and needs ninja: pip install meson ninja"
        raise ImportError(msg)
    with open(os.path.join(build_dir, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # ninja has no lock of its own
        result = subprocess.run(
            [ninja, "-C", build_dir],
            env={**os.environ, "PATH": path, "BYTEWAX_NO_REBUILD": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if result.returncode != 0:
        msg = f"rebuilding {EXTENSION} failed:\n{result.stdout}"
        raise ImportError(msg)


def install(build_dir):
    """Called by the .pth file's module, at the start of the interpreter."""
    sys.meta_path.insert(0, Rebuilder(build_dir))
