"""Sources and sinks without a flow: read, snapshot, resume, as a test of a connector does it."""

from datetime import timedelta
from pathlib import Path

from bytewax.connectors.files import CSVInput, DirInput, DirOutput, FileInput, FileOutput
from bytewax.inputs import StatefulSource
from bytewax.testing import TestingInput, poll_next


class Slow(StatefulSource):
    """Has something at every third call only."""

    def __init__(self, items):
        self._items = list(items)
        self.calls = 0

    def next(self):
        self.calls += 1
        if self.calls % 3:
            return None
        if not self._items:
            raise StopIteration
        return self._items.pop(0)

    def snapshot(self):
        return None


def read_all(source):
    items = []
    while True:
        try:
            items.append(poll_next(source))
        except StopIteration:
            return items


def attempt(name, call, *error_classes):
    try:
        print(name, call())
    except error_classes as error:
        print(name, type(error).__name__, error)


slow = Slow([1, 0, "", "end"])
print(read_all(slow), slow.calls)


class Idle(Slow):
    def next(self):
        return None


try:
    poll_next(Idle([]), timeout=timedelta(milliseconds=20))
except TimeoutError:
    print("TimeoutError")

source = TestingInput(["a", "b", "c", "d"])
print(source.list_parts())
part = source.build_part("iter", None)
positions = [part.snapshot()]
for _ in range(2):
    print(poll_next(part))
    positions.append(part.snapshot())
print(positions)
part.close()
print(read_all(source.build_part("iter", positions[-1])), read_all(source.build_part("iter", None)))
attempt("past the end", lambda: source.build_part("iter", 9), StopIteration)
try:
    source.build_part("other", None)
except AssertionError:
    print("there is no other part")
print(TestingInput.__test__)

Path("poem.txt").write_text("one\ntwö\nthree\r\nfour")
source = FileInput("poem.txt")
print(source.list_parts(), FileInput(Path("poem.txt")).list_parts())
part = source.build_part("poem.txt", None)
print(part.snapshot(), poll_next(part), poll_next(part))
position = part.snapshot()
print(poll_next(part))
part.close()
resumed = source.build_part("poem.txt", position)
print(resumed.snapshot() == position, read_all(resumed), read_all(source.build_part("poem.txt", 0)))
attempt("other file", lambda: source.build_part("novel.txt", None), AssertionError)

source = DirInput(Path("."), "*.txt")
print(source.list_parts(), read_all(source.build_part("poem.txt", position)))

Path("table.csv").write_text("a,b\n1,2\n3,4\n")
part = CSVInput("table.csv").build_part("table.csv", None)
print(poll_next(part), read_all(part))

output = FileOutput("diary.txt", end="|")
print(output.list_parts(), output.assign_part("any"))
sink = output.build_part("diary.txt", None)
print(sink.snapshot())
sink.write("monday")
sink.write("tuesdäy")
position = sink.snapshot()
sink.write("wednesday")
sink.close()
print(Path("diary.txt").read_text())
sink = output.build_part("diary.txt", position)
print(sink.snapshot() == position, Path("diary.txt").read_text())
sink.write("thursday")
sink.close()
print(Path("diary.txt").read_text())
attempt("other file", lambda: output.build_part("other.txt", None), AssertionError)

Path("drawers").mkdir()
output = DirOutput(Path("drawers"), 3, assign_file=int)
print(sorted(output.list_parts()), [output.assign_part(key) for key in ("1", "2", "3")])
sink = output.build_part("part_1", None)
sink.write("in")
sink.close()
print(sorted(path.name for path in Path("drawers").iterdir()), Path("drawers/part_1").read_text())
