"""The build backend: meson-python, but for what an editable install puts into the environment.

meson-python's own loader answers every import below `bytewax` itself, so that a module which another
distribution installs in `bytewax/` is not found. Ours leaves all of them to Python: it names the two
folders that hold parts of the namespace package (`python/` in the source, `python/` in the build folder),
and only rebuilds before the extension is imported.
"""

import base64
import csv
import hashlib
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import mesonpy
from mesonpy import (
    build_sdist,
    build_wheel,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

ROOT = Path(__file__).resolve().parent.parent
LOADER = "_bytewax_editable"


def build_editable(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build by meson-python, then put our loader in the place of its own."""
    settings = dict(config_settings or {})
    build_dir = settings.get("build-dir") or settings.get("builddir") or f"build/{sys.implementation.cache_tag}"
    settings.pop("builddir", None)
    settings["build-dir"] = build_dir
    name: str = mesonpy.build_editable(wheel_directory, settings, metadata_directory)
    replace_loader(Path(wheel_directory) / name, (ROOT / build_dir).resolve())
    return name


def replace_loader(wheel: Path, build_dir: Path) -> None:
    """Rewrite an editable wheel: its metadata stay, its modules and .pth files are ours."""
    with zipfile.ZipFile(wheel) as old:
        kept = {item: old.read(item) for item in old.namelist() if ".dist-info/" in item}
    record = next(item for item in kept if item.endswith(".dist-info/RECORD"))
    del kept[record]
    loader = (ROOT / "tools" / "editable_loader.py").read_text()
    folders = [str(ROOT / "python"), str(build_dir / "python")]
    files = {
        "bytewax-editable.pth": "\n".join([*folders, f"import {LOADER}"]).encode(),
        f"{LOADER}.py": f"{loader}\n\ninstall({str(build_dir)!r})\n".encode(),
        **kept,
    }
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for item, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow([item, f"sha256={digest}", len(content)])
    writer.writerow([record, "", ""])
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as new:
        for item, content in {**files, record: rows.getvalue().encode()}.items():
            new.writestr(item, content)
