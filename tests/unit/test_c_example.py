"""The C API: the example and a wrong program are built as its README says, with no Python in sight."""

import pydoc_data.topics
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "examples" / "c"
LIBRARIES = ["-lbytewax", "-luv", "-lssl", "-lcrypto"]

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler named cc")


def run(command, **options):
    """Run a command in an environment that leads to nothing but the system's tools."""
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, **options)


def succeed(command, **options):
    result = run(command, **options)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Build what the README says, in a copy of the two folders that it speaks of."""
    root = tmp_path_factory.mktemp("c")
    shutil.copytree(ROOT / "engine", root / "engine")
    shutil.copytree(EXAMPLE, root / "examples" / "c")
    block = re.search(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    *commands, example_run = block[1].splitlines()
    assert not any("python" in command.lower() for command in commands)
    for command in commands:
        succeed(command, shell=True, cwd=root)
    assert example_run.startswith("build/c/wordcount ")
    return root


@pytest.fixture(scope="module")
def text():
    return Path(pydoc_data.topics.__file__)


def test_the_example_depends_on_no_python(build):
    assert "python" not in succeed(["ldd", "build/c/wordcount"], cwd=build).lower()
    undefined = succeed(["nm", "-u", "build/c/libbytewax.a"], cwd=build)
    assert not re.search(r"\b_?Py", undefined)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_example_counts_as_a_counter_does(build, text, workers):
    data = text.read_bytes()
    expected = Counter(re.findall(rb"[0-9a-z\x80-\xff]+", data.lower()))
    ranked = sorted(expected.items(), key=lambda entry: (-entry[1], entry[0]))
    lines = f"{len(data.splitlines())} lines\n".encode()
    counts = b"".join(b"%d %s\n" % (count, word) for word, count in ranked)

    command = [build / "build/c/wordcount", text, str(workers), str(len(ranked))]
    result = subprocess.run(command, capture_output=True, timeout=120)

    assert result.stderr == b""
    assert result.stdout == lines + counts


@pytest.mark.parametrize(
    ("content", "lines"),
    [("", None), ("one", 1), ("one\n\n\ntwo", 4), ("\n" * 7, 7), ("a b\n" * 3 + "x" * 200_000, 4)],
)
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_line_is_read_by_just_one_worker(build, tmp_path, content, lines, workers):
    path = tmp_path / "text"
    path.write_text(content)
    printed = succeed([build / "build/c/wordcount", path, str(workers), "0"])
    assert printed == ("" if lines is None else f"{lines} lines\n")


def test_the_example_says_what_it_cannot_read(build, tmp_path):
    result = run([build / "build/c/wordcount", tmp_path / "none", "2"])
    assert result.returncode == 1
    pattern = r'wordcount: step "read" on worker [01]: can\'t read .*none: No such file or directory\n'
    assert re.fullmatch(pattern, result.stderr)


WRONG = r"""
#include <bytewax.h>
#include <stdio.h>

static int poll(void *state, bw_flow_emitter *out, size_t limit, uint64_t *again_ns)
{
    (void)state; (void)out; (void)limit; (void)again_ns;
    return BW_FLOW_END;
}

static int on_items(void *user, bw_flow_emitter *out, void *const *slots, void **items, size_t count)
{
    (void)user; (void)out; (void)slots; (void)items; (void)count;
    return 0;
}

int main(void)
{
    bw_flow_items items = {0};
    bw_flow_source_ops source = {.poll = poll};
    bw_flow_keyed_ops keyed = {.slot_size = 8, .on_items = on_items};
    bw_flow *flow = bw_flow_new(&items);
    bw_flow_stream *stream = bw_flow_source(flow, "in", &source, NULL);
    bw_flow_sink(flow, "out", bw_flow_keyed(flow, "sum", stream, &keyed, NULL), NULL, NULL);
    bw_flow_error error;
    int status = bw_flow_run(flow, NULL, &error);
    printf("%d %s: %s\n", status, error.step, error.text);
    bw_flow_free(flow);
    return 0;
}
"""


def test_a_program_that_misuses_the_api_is_told_so(build):
    (build / "wrong.c").write_text(WRONG)
    options = ["-std=c17", "-Wall", "-Wextra", "-Werror", "-pthread", "-Iengine", "-Lbuild/c"]
    succeed(["cc", *options, "-o", "wrong", "wrong.c", *LIBRARIES], cwd=build)
    expected = '-5 sum: step "sum": a keyed step needs bw_flow_items with a keys function\n'
    assert succeed([build / "wrong"]) == expected


@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a C++ compiler named c++")
def test_the_header_is_one_for_cpp_too(build):
    (build / "header.cpp").write_text("#include <bytewax.h>\n")
    succeed(
        ["c++", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iengine", "-fsyntax-only", "header.cpp"],
        cwd=build,
    )
