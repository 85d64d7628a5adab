"""Reads the code blocks of a Markdown page, and runs them as a reader would, from top to bottom.

| block | is |
| --- | --- |
| `python` | run in this process; all such blocks of a page share a namespace |
| `python title="name.py"` | written to that file, for the blocks below |
| `text` right below a `python` block | what that printed; without it, nothing may be printed |
| `console` | `$ ` commands for sh, each followed by what it prints |

A comment right above a block says how to treat it: `<!-- any order -->`: lines of output come in any order;
`<!-- not run: why -->`: just that. In an output `...` stands for anything. Other blocks are refused.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:^<!-- (?P<marker>[^\n]*) -->\n\s*)?^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
TITLE = re.compile(r'title="([^"]+)"')
TIMEOUT_S = 60


@dataclass
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    title: str | None
    marker: str
    text: str
    follows: str  # what stands between it and the block before
    output: str = ""  # for python: the text block below it
    output_marker: str = ""

    @property
    def is_run(self) -> bool:
        return not self.marker.startswith("not run: ")


def blocks(page: Path) -> list[Block]:
    """Read a page; the output of a python block is joined to it."""
    content = page.read_text()
    found: list[Block] = []
    end = 0
    for match in BLOCK.finditer(content):
        language, _, options = match["info"].partition(" ")
        title = TITLE.search(options)
        block = Block(
            line=content.count("\n", 0, match.start("info")) + 1,
            language=language,
            title=title[1] if title else None,
            marker=match["marker"] or "",
            text=match["text"],
            follows=content[end : match.start()],
        )
        end = match.end()
        above = found[-1] if found else None
        if language == "text" and above and above.language == "python" and not block.follows.strip():
            above.output, above.output_marker = block.text, block.marker
        else:
            found.append(block)
    return found


class Reader:
    """Runs the blocks of one page in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace: dict[str, object] = {"__name__": "page"}

    def run(self, page: Path, block: Block) -> None:
        """Run a block; AssertionError if it prints something else than is shown."""
        if block.language == "python" and block.title:
            (self.folder / block.title).write_text(block.text)
        elif block.language == "python":
            compare(self.run_python(page, block), block.output, block.output_marker)
        elif block.language == "console":
            for command, shown in commands(block.text):
                compare(self.run_command(command), shown, block.marker)
        else:
            msg = f"{page.name}:{block.line}: don't know how to run a block of {block.language!r}"
            raise AssertionError(msg)

    def run_python(self, page: Path, block: Block) -> str:
        source = "\n" * block.line + block.text  # tracebacks show the line of the page
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, str(page), "exec"), self.namespace)
        return printed.getvalue()

    def run_command(self, command: str) -> str:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        result = subprocess.run(
            ["sh", "-c", command],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert result.returncode == 0, f"{command!r} exits with {result.returncode}:\n{result.stdout}"
        return result.stdout


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Split a console block into commands and what each of them prints."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def compare(printed: str, shown: str, marker: str) -> None:
    """Compare line by line; `...` in what is shown stands for anything."""
    got, wanted = printed.splitlines(), shown.splitlines()
    if marker == "any order":
        is_right = sorted(got) == sorted(wanted)
    elif "..." in shown:
        pattern = ".*".join(re.escape(part) for part in shown.strip().split("..."))
        is_right = re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None
    else:
        is_right = got == wanted
    if not is_right:
        msg = f"it prints\n{printed}but shown is\n{shown}"
        raise AssertionError(msg)
