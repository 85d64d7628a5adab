import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import pages

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_does_what_it_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reader = pages.Reader(tmp_path)
    for block in pages.blocks(page):
        if block.is_run:
            try:
                reader.run(page, block)
            except AssertionError as error:
                raise AssertionError(f"{page.relative_to(ROOT)}:{block.line}: {error}") from error


PAGE = """
```python title="greet.py"
print("hello")
```

```python
x = 1
print(x)
```

```text
1
```

Text, and the same namespace:

```python
print(x + 1)
print(0)
```

<!-- any order -->
```text
0
2
```

<!-- not run: it would fail -->
```console
$ false
```

```console
$ python greet.py
hello
$ python -c 'print("took 0.1 s")'
took ... s
```
"""


def run_page(tmp_path, content):
    page = tmp_path / "page.md"
    page.write_text(content)
    reader = pages.Reader(tmp_path)
    found = pages.blocks(page)
    for block in found:
        if block.is_run:
            reader.run(page, block)
    return found


def test_the_harness_runs_every_kind_of_block(tmp_path):
    assert len(run_page(tmp_path, PAGE)) == 5


@pytest.mark.parametrize(
    ("shown", "other"),
    [
        ("```text\n1\n```", "```text\n3\n```"),
        ("\n0\n2\n", "\n0\n3\n"),
        ("\nhello\n", "\nhullo\n"),
        ("took ... s", "takes ... s"),
        ("```text\n1\n```\n\nText", "Text"),
        ("$ python greet.py", "$ python greet.py; exit 3"),
        ("```console\n$ python", "```sh\n$ python"),
        ("<!-- not run: it would fail -->\n", ""),
    ],
)
def test_the_harness_sees_what_is_wrong(tmp_path, shown, other):
    assert shown in PAGE
    with pytest.raises(AssertionError):
        run_page(tmp_path, PAGE.replace(shown, other))
