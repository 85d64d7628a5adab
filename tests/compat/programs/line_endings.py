"""Files as they come: all kinds of line ends, spaces kept, no end at the end, long lines; and no file."""

from pathlib import Path

from bytewax.connectors.files import CSVInput, DirInput, FileInput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingOutput, run_main


def read(source):
    out = []
    flow = Dataflow()
    flow.input("inp", source)
    flow.output("out", TestingOutput(out))
    run_main(flow)
    return out


CASES = {
    "unix": b"a\nb\n",
    "dos": b"a\r\nb\r\n",
    "mac": b"a\rb\r",
    "mixed": b"a\rb\nc\r\nd",
    "no end": b"a\nb",
    "spaces": b" a \n\tb\t\n \n\x0b\n\x0c\x1c\n",
    "other breaks": "a\x85b\u2028c\n".encode(),
    "unicode": "žluťoučký\nкот\n🐈\n".encode(),
    "nul": b"a\0b\n\0\n",
    "empty": b"",
}
for name, content in CASES.items():
    Path("file").write_bytes(content)
    print(name, read(FileInput("file")))

# Line ends at the edges of the blocks that are read.
lines = [str(number % 10) * (number % 5000 + 1) for number in range(0, 20000, 37)]
for end in ("\n", "\r\n", "\r"):
    Path("file").write_bytes(end.join(lines).encode())
    print(repr(end), read(FileInput(Path("file"))) == lines, len(lines))
Path("file").write_text("x" * 3_000_000 + "\n" + "y")
print([len(line) for line in read(FileInput("file"))])

Path("folder").mkdir()
for source in (FileInput("missing.txt"), FileInput(Path("folder")), CSVInput("missing.csv")):
    try:
        read(source)
    except OSError as error:
        print(type(error).__name__, "error creating input source partitions" in str(error))
print(read(DirInput(Path("folder"))))
