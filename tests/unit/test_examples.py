import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
WORKERS = ["1", "2", "4"]

OUTPUT = {
    "running_mean": ["attic: 14.0", "attic: 14.5", "kitchen: 21.0", "kitchen: 22.0", "kitchen: 22.0"],
    "sessions": ["anna stayed 30 s and saw 2 pages", "ben stayed 27 s and saw 1 pages"],
}


def run(*arguments, cwd=None):
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd or ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


@pytest.fixture(scope="module")
def top_words():
    """Count by hand, with the example's own idea of a word."""
    spec = importlib.util.spec_from_file_location("wordcount", ROOT / "examples" / "wordcount.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    counts = Counter(word for line in example.TEXT.read_text().splitlines() for word in example.words(line))
    ranking = sorted(counts.items(), key=lambda count: (-count[1], count[0]))
    return [f"{total:6,} {word}" for word, total in ranking[:10]]


def test_wordcount_by_itself_says_how_fast_it_was(top_words):
    *words, speed = run("examples/wordcount.py")
    assert words == top_words
    assert re.fullmatch(r"[\d,]+ lines in [\d.]+ s: [\d,]+ lines/s", speed)


@pytest.mark.parametrize("workers", WORKERS)
def test_wordcount_is_right_on_any_number_of_workers(top_words, workers):
    assert run("-m", "bytewax.run", "examples/wordcount.py", "-w", workers) == top_words


@pytest.mark.parametrize("name", OUTPUT)
def test_an_example_prints_what_it_should(name):
    assert sorted(run(f"examples/{name}.py")) == OUTPUT[name]
    assert sorted(run("-m", "bytewax.run", f"examples/{name}.py")) == OUTPUT[name]


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES} == {"wordcount", *OUTPUT}
