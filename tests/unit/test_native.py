"""The native sources and sinks, driven from Python and, in batches, by a run of the engine."""

import codecs
import contextlib
import csv
import errno
import gc
import io
import itertools
import locale
import os
import signal
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections import deque
from pathlib import Path

import pytest

from bytewax import _engine
from bytewax._engine import CsvSource, FileSink, IterSource, LineSource, ListSink, PrintSink

BLOCK_BYTES = 256 * 1024  # LineSource reads this much at a time
BUFFER_BYTES = 64 * 1024  # FileSink writes this much at a time

ALL_TYPES = [IterSource, LineSource, CsvSource, ListSink, PrintSink, FileSink]


def take(source):
    """Ask a source for all its items, by its Python face."""
    items = []
    while True:
        try:
            items.append(source.next())
        except StopIteration:
            return items


class OnePart:
    """An input or output whose only part is given."""

    def __init__(self, part):
        self.part = part

    def list_parts(self):
        return {"part"}

    def build_part(self, for_part, resume_state):
        return self.part

    def build(self, worker_index, worker_count):
        return self.part


def run_into(items, source, then=None):
    """Run a flow from a source into the list `items`, so that the engine takes the items in batches."""
    plan = [("partitioned_input", "inp", "inp", OnePart(source), object)]
    if then is not None:
        plan.append(("inspect", "inspect", "inspect", then))
    plan.append(("dynamic_output", "out", "out", OnePart(ListSink(items)), object))
    _engine.run(plan, worker_count=1, epoch_interval_us=10_000_000, threads=False)


def run(source):
    """Ask a source for all its items, by its C face."""
    items = []
    run_into(items, source)
    return items


@pytest.fixture(params=[take, run], ids=["python", "engine"])
def read(request):
    """Each way to read a source to its end."""
    return request.param


@pytest.fixture
def write_file(tmp_path):
    """Make a file of these bytes; return its path."""

    def write(content):
        path = tmp_path / "file.txt"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def in_encoding(monkeypatch):
    """Let open() and us take this encoding for the locale's."""

    def use(encoding):
        monkeypatch.setattr(locale, "getpreferredencoding", lambda do_setlocale=True: encoding)

    return use


@pytest.fixture
def unraisable(monkeypatch):
    """The exceptions that could not be raised, in order."""
    exceptions = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: exceptions.append(what.exc_value))
    return exceptions


def open_descriptors():
    """Numbers of the open files, without that of the folder which is listed here."""
    return {int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}


# --- all types ---


@pytest.mark.parametrize("native", ALL_TYPES)
def test_types_are_final_and_immutable(native):
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (native,), {})
    with pytest.raises(TypeError):
        native.next = None


@pytest.mark.parametrize("native", ALL_TYPES)
def test_types_know_their_module_and_signature(native):
    assert native.__module__ == "bytewax._engine"
    assert native.__text_signature__.startswith("(")
    assert native.close.__text_signature__ == "($self, /)"


# --- IterSource ---

ELEMENTS = [0, 1, 2, 3, 4]
KINDS = {
    "list": list,
    "tuple": tuple,
    "range": lambda elements: range(len(elements)),
    "long range": lambda elements: range(2**70, 2**70 + len(elements)),
    "list iterator": iter,
    "tuple iterator": lambda elements: iter(tuple(elements)),
    "generator": lambda elements: (element for element in elements),
    "dict": dict.fromkeys,
    "map": lambda elements: map(int, elements),
    "list subclass": type("Sub", (list,), {}),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_iter_source_gives_the_elements_in_order(make, read):
    assert read(IterSource(make(ELEMENTS), None)) == list(make(ELEMENTS))


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_iter_source_of_nothing_ends_at_once(make, read):
    assert read(IterSource(make([]), None)) == []


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_iter_source_position_is_the_index_of_the_last_element_read(make):
    source = IterSource(make(ELEMENTS), None)
    assert source.snapshot() == -1
    for index in range(len(ELEMENTS)):
        source.next()
        assert source.snapshot() == index
    for _ in range(2):
        with pytest.raises(StopIteration):
            source.next()
        assert source.snapshot() == len(ELEMENTS) - 1


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("position", range(-1, len(ELEMENTS)))
def test_iter_source_resumes_after_the_position(make, position, read):
    source = IterSource(make(ELEMENTS), position)
    assert source.snapshot() == position
    assert read(source) == list(make(ELEMENTS))[position + 1 :]


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_iter_source_refuses_to_resume_past_the_end(make):
    with pytest.raises(StopIteration):
        IterSource(make(ELEMENTS), len(ELEMENTS))


def test_iter_source_returns_none_but_the_engine_skips_it():
    elements = [None, 1, None, None, 2, None]
    assert take(IterSource(elements, None)) == elements
    assert run(IterSource(elements, None)) == [1, 2]
    assert run(IterSource(tuple(elements), None)) == [1, 2]
    assert run(IterSource(iter(elements), None)) == [1, 2]
    assert run(IterSource((element for element in elements), None)) == [1, 2]


def test_iter_source_of_many_batches():
    elements = list(range(10_000))
    for iterable in (elements, tuple(elements), range(10_000), iter(elements)):
        assert run(IterSource(iterable, None)) == elements


def test_iter_source_refuses_what_cannot_be_iterated():
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        IterSource(7, None)


@pytest.mark.parametrize(
    ("resume_state", "error"),
    [
        ("1", TypeError),
        (1.0, TypeError),
        (-2, ValueError),
        (2**63, OverflowError),
        (2**63 - 1, OverflowError),
    ],
)
def test_iter_source_refuses_a_wrong_resume_state(resume_state, error):
    with pytest.raises(error):
        IterSource([], resume_state)


def test_iter_source_follows_a_list_that_grows_and_shrinks():
    elements = [0, 1]
    source = IterSource(elements, None)
    assert source.next() == 0
    elements.append(2)
    assert source.next() == 1
    assert source.next() == 2
    elements.extend([3, 4])
    assert source.next() == 3
    elements.clear()
    with pytest.raises(StopIteration):
        source.next()
    elements.extend(range(10))
    with pytest.raises(StopIteration):  # as for Python's own iterator: an end is for good
        source.next()


def test_iter_source_sees_what_the_flow_appends_to_its_list():
    elements = [0]
    items = []
    run_into(items, IterSource(elements, None), lambda item: elements.append(item + 1) if item < 9 else None)
    assert items == list(range(10))


def test_iter_source_survives_a_flow_that_clears_its_list():
    elements = [object() for _ in range(5000)]
    items = []
    run_into(items, IterSource(elements, None), lambda _item: elements.clear())
    assert 0 < len(items) < 5000


def test_iter_source_passes_on_what_a_generator_raises():
    def generate():
        yield 1
        yield 2
        raise LookupError(3)

    source = IterSource(generate(), None)
    assert [source.next(), source.next()] == [1, 2]
    with pytest.raises(LookupError, match="3"):
        source.next()
    assert source.snapshot() == 1
    items = []
    with pytest.raises(LookupError, match="3"):
        run_into(items, IterSource(generate(), None))
    assert items == [1, 2]


def test_iter_source_passes_on_what_iter_raises():
    class Broken:
        def __iter__(self):
            raise LookupError(4)

    with pytest.raises(LookupError, match="4"):
        IterSource(Broken(), None)


class AsksItsSource:
    """An iterator that calls a method of its own source."""

    def __init__(self, method):
        self.method = method
        self.source = None

    def __iter__(self):
        return self

    def __next__(self):
        return getattr(self.source, self.method)()


def test_iter_source_refuses_an_iterator_that_asks_it():
    iterator = AsksItsSource("next")
    iterator.source = IterSource(iterator, None)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="while another call"):
            iterator.source.next()
    iterator.method = "snapshot"
    assert iterator.source.next() == -1


def test_iter_source_asks_a_generator_for_one_item_at_a_time():
    events = []

    def generate():
        for index in range(3):
            events.append(("next", index))
            yield index

    run_into([], IterSource(generate(), None), lambda item: events.append(("item", item)))
    assert events == [(what, index) for index in range(3) for what in ("next", "item")]


def test_iter_source_lets_go_of_what_it_has_read():
    class Element:
        pass

    elements = [Element() for _ in range(100)]
    alive = [weakref.ref(element) for element in elements]
    source = IterSource((elements.pop(0) for _ in range(100)), None)
    assert len(run(source)) == 100
    gc.collect()
    assert not any(ref() for ref in alive)


def test_iter_source_drops_an_iterable_that_has_ended():
    class Elements(list):
        pass

    elements = Elements()
    ref = weakref.ref(elements)
    source = IterSource(elements, None)
    del elements
    assert take(source) == []
    gc.collect()
    assert ref() is None


@pytest.mark.parametrize("kind", ["list", "tuple", "list iterator", "tuple iterator", "generator", "list subclass"])
def test_iter_source_keeps_reference_counts(kind):
    make = KINDS[kind]
    element = object()
    elements = [element] * 1000
    before = sys.getrefcount(element)
    for resume_state in (None, 10):
        run(IterSource(make(elements), resume_state))
        take(IterSource(make(elements), resume_state))
    gc.collect()
    assert sys.getrefcount(element) == before


def test_iter_source_in_a_cycle_is_collected():
    class Marker:
        pass

    marker = Marker()
    elements = [marker]
    elements.append(IterSource(elements, None))
    iterator = AsksItsSource("next")
    iterator.marker = marker
    iterator.source = IterSource(iterator, None)
    ref = weakref.ref(marker)
    del marker, elements, iterator
    gc.collect()
    assert ref() is None


def test_iter_source_close_does_nothing():
    source = IterSource([1, 2], None)
    assert source.close() is None
    assert take(source) == [1, 2]


# --- LineSource ---


def lines_of(path):
    """Lines as Python sees them."""
    with open(path) as file:
        return [line[:-1] if line.endswith("\n") else line for line in file]


def check_lines(path, read):
    """Lines are Python's, and each position leads to those that follow."""
    expected = lines_of(path)
    assert read(LineSource(path, None)) == expected
    source = LineSource(path, None)
    positions = [source.snapshot()]
    for _ in expected:
        source.next()
        positions.append(source.snapshot())
    assert positions[0] == 0
    assert positions[-1] == path.stat().st_size
    for count, position in enumerate(positions):
        resumed = LineSource(path, position)
        assert resumed.snapshot() == position
        assert read(resumed) == expected[count:]


def test_line_source_ends_lines_as_python_does(write_file):
    for size in range(6):
        for content in itertools.product([b"a", b"\xc3\xa9", b"\n", b"\r"], repeat=size):
            check_lines(write_file(b"".join(content)), take)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"a",
        b"a\n",
        b"\n\n\n",
        b"a\r\n\r\nb\r\r\nc\n\rd",
        b" a \t\n",
        b"a\x0bb\x0cc\xc2\x85d\xe2\x80\xa8e\n",
    ],
)
def test_line_source_keeps_blank_lines_and_other_space(content, write_file, read):
    check_lines(write_file(content), read)


@pytest.mark.parametrize(
    "tail", [b"\n", b"\r", b"\r\n", b"\r\r", b"\n\r", b"\r\n\r\n", b"\xc3\xa9\n", b"\xf0\x9f\x98\x80"]
)
@pytest.mark.parametrize("before_end", range(5))
@pytest.mark.parametrize("head", [b"", b"x\n"])
def test_line_source_over_the_end_of_a_block(head, before_end, tail, write_file, read):
    filler = b"." * (BLOCK_BYTES - before_end - len(head))
    check_lines(write_file(head + filler + tail), read)
    check_lines(write_file(head + filler + tail + b"more\nlines"), read)


def test_line_source_of_lines_longer_than_a_block(write_file, read):
    lines = [
        "a" * (3 * BLOCK_BYTES),
        "",
        "b" * BLOCK_BYTES,
        "c",
        "d" * (BLOCK_BYTES - 1),
        "e" * (BLOCK_BYTES + 1),
    ]
    path = write_file("\n".join(lines).encode())
    assert read(LineSource(path, None)) == lines


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_line_source_of_many_blocks(end, write_file, read):
    lines = [f"{index} " + "é" * (index % 7) for index in range(100_000)]
    path = write_file(end.join(lines).encode())
    assert path.stat().st_size > 3 * BLOCK_BYTES
    assert read(LineSource(path, None)) == lines


def test_line_source_takes_a_newline_that_came_late_for_part_of_the_line_before(write_file):
    path = write_file(b"a\r")
    source = LineSource(path, None)
    assert source.next() == "a"
    position = source.snapshot()
    with path.open("ab") as file:
        file.write(b"\nb\n")
    assert take(LineSource(path, position)) == ["b"]


def test_line_source_goes_on_where_the_file_has_grown(write_file):
    path = write_file(b"a\nb\n")
    source = LineSource(path, None)
    assert take(source) == ["a", "b"]
    with path.open("ab") as file:
        file.write(b"c\n")
    with pytest.raises(StopIteration):  # an end is for good
        source.next()
    assert take(LineSource(path, source.snapshot())) == ["c"]


def test_line_source_past_the_end_has_nothing(write_file, read):
    assert read(LineSource(write_file(b"a\nb\n"), 100)) == []


def test_line_source_keeps_a_byte_order_mark(write_file):
    assert take(LineSource(write_file(codecs.BOM_UTF8 + b"a\n"), None)) == ["\ufeffa"]


@pytest.mark.parametrize(
    "bad", [b"\xff", b"caf\xe9", b"long enough for a word, then \x80", b"\xe2\x82", b"\xed\xa0\x80"]
)
def test_line_source_delivers_the_lines_before_one_that_is_not_utf8(bad, write_file):
    path = write_file(b"one\ntwo\n" + bad + b"\nfour\n")
    items = []
    with pytest.raises(UnicodeDecodeError):
        run_into(items, LineSource(path, None))
    assert items == ["one", "two"]
    source = LineSource(path, None)
    assert [source.next(), source.next()] == ["one", "two"]
    for _ in range(2):
        with pytest.raises(UnicodeDecodeError) as caught:
            source.next()
        if sys.version_info >= (3, 11):
            assert caught.value.__notes__ == [f"in file {str(path)!r}, in the line at byte 8"]
        assert source.snapshot() == 8


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("UTF-8", "naïve\n漢字\n"),
        ("ISO-8859-1", "naïve\nç\r\n"),
        ("cp1252", "“x”\n"),
        ("SHIFT_JIS", "漢字ソ\n表\n"),
        ("gb18030", "漢字\n"),
    ],
)
def test_line_source_reads_the_encoding_of_the_locale(encoding, text, write_file, in_encoding, read):
    in_encoding(encoding)
    path = write_file(text.encode(encoding))
    assert read(LineSource(path, None)) == text.splitlines()


def test_line_source_of_an_ascii_locale_refuses_other_bytes(write_file, in_encoding):
    in_encoding("ANSI_X3.4-1968")
    source = LineSource(write_file("plain\ncafé\n".encode()), None)
    assert source.next() == "plain"
    with pytest.raises(UnicodeDecodeError, match="ascii"):
        source.next()


@pytest.mark.parametrize("options", [["-X", "utf8=1"], ["-X", "utf8=0"]])
def test_line_source_and_file_sink_take_the_encoding_that_open_takes(options, tmp_path):
    program = """if True:
        import sys
        from bytewax._engine import FileSink, LineSource
        path = sys.argv[1]
        open(path, "wb").write(b"caf\\xc3\\xa9\\n")
        def attempt(call):
            try:
                return call()
            except UnicodeError as error:
                return type(error), error.encoding
        def write_by_sink():
            sink = FileSink(path, "", None)
            sink.write("\\xe9")
            sink.close()
            return open(path, "rb").read()
        def write_by_open():
            with open(path, "w") as file:
                file.write("\\xe9")
            return open(path, "rb").read()
        assert attempt(LineSource(path, None).next) == attempt(lambda: next(open(path)).rstrip("\\n"))
        assert attempt(write_by_sink) == attempt(write_by_open)
    """
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    subprocess.run([sys.executable, *options, "-c", program, str(tmp_path / "file.txt")], env=environment, check=True)


@pytest.mark.parametrize("make_path", [str, Path, os.fsencode])
def test_line_source_and_file_sink_take_every_kind_of_path(make_path, write_file):
    path = make_path(write_file(b"a\n"))
    assert take(LineSource(path, None)) == ["a"]
    sink = FileSink(path, "\n", None)
    sink.write("b")
    sink.close()
    assert take(LineSource(path, None)) == ["b"]


@pytest.mark.parametrize(
    "open_it",
    [
        lambda path: LineSource(path, None),
        lambda path: CsvSource(path, {}, None),
        lambda path: FileSink(path, "", None),
    ],
)
class TestOpening:
    """What all that open a file have in common."""

    def test_refuses_a_directory(self, open_it, tmp_path):
        with pytest.raises(IsADirectoryError) as caught:
            open_it(tmp_path)
        assert caught.value.filename == str(tmp_path)

    def test_names_a_file_that_is_missing(self, open_it, tmp_path):
        path = tmp_path / "missing" / "file.txt"
        with pytest.raises(FileNotFoundError) as caught:
            open_it(path)
        assert caught.value.filename == str(path)

    def test_refuses_what_is_no_path(self, open_it):
        with pytest.raises(TypeError, match="int"):
            open_it(3)
        with pytest.raises(ValueError, match="null"):
            open_it("a\0b")

    def test_leaks_no_descriptor(self, open_it, write_file, tmp_path):
        path = write_file(b"a\n")
        before = open_descriptors()
        for _ in range(3):
            open_it(path).close()
            open_it(path)
            with contextlib.suppress(OSError):
                open_it(tmp_path)
        assert open_descriptors() == before

    def test_is_not_inherited_by_other_programs(self, open_it, write_file):
        before = open_descriptors()
        opened = open_it(write_file(b"a\n"))
        (descriptor,) = open_descriptors() - before
        assert not os.get_inheritable(descriptor)
        opened.close()

    def test_refuses_a_locale_of_an_unknown_encoding(self, open_it, write_file, in_encoding):
        in_encoding("martian")
        before = open_descriptors()
        with pytest.raises(LookupError, match="martian"):
            open_it(write_file(b"a\n"))
        assert open_descriptors() == before


def test_opening_a_file_is_audited(tmp_path):
    program = """if True:
        import sys
        from bytewax._engine import FileSink, LineSource
        events = []
        sys.addaudithook(lambda event, args: events.append(args[:2]) if event == "open" else None)
        path = sys.argv[1]
        FileSink(path, "", None)
        LineSource(path, None)
        assert (path, "a") in events and (path, "r") in events, events
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "file.txt")], env=environment, check=True)


@pytest.mark.parametrize(("resume_state", "error"), [("1", TypeError), (-1, ValueError), (2**63, OverflowError)])
def test_a_wrong_position_is_refused(resume_state, error, write_file):
    path = write_file(b"a\n")
    with pytest.raises(error):
        LineSource(path, resume_state)
    with pytest.raises(error):
        CsvSource(path, {}, resume_state)
    with pytest.raises(error):
        FileSink(path, "", resume_state)
    assert path.read_bytes() == b"a\n"


def test_line_source_refuses_to_read_once_closed(write_file):
    source = LineSource(write_file(b"a\nb\n"), None)
    assert source.next() == "a"
    for _ in range(2):
        assert source.close() is None
    with pytest.raises(ValueError, match="closed"):
        source.next()
    assert source.snapshot() == 2


@pytest.fixture
def pipe(tmp_path):
    """The path of a named pipe."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_line_source_delivers_a_line_of_a_pipe_before_the_next_one_comes(pipe, read):
    delivered = threading.Event()

    def produce():
        with open(pipe, "wb", buffering=0) as file:
            file.write(b"a\nb\nhalf")
            delivered.wait()
            file.write(b" and half\n")

    producer = threading.Thread(target=produce)
    producer.start()
    items = []
    if read is take:
        source = LineSource(pipe, None)
        items += [source.next(), source.next()]
        delivered.set()
        items += take(source)
    else:
        run_into(items, LineSource(pipe, None), lambda item: delivered.set() if item == "b" else None)
    producer.join()
    assert items == ["a", "b", "half and half"]


def test_line_source_cannot_resume_a_pipe(pipe):
    keep = os.open(pipe, os.O_RDWR)
    with pytest.raises(OSError) as caught:
        LineSource(pipe, 5)
    assert caught.value.errno == errno.ESPIPE
    os.close(keep)


class AlarmError(Exception):
    """Raised by a signal handler."""


@contextlib.contextmanager
def alarm(handler):
    """Let the system interrupt this thread again and again, until the block ends."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_ends_a_read_that_waits(pipe):
    keep = os.open(pipe, os.O_RDWR)
    source = LineSource(pipe, None)
    os.write(keep, b"half")
    refused = []

    def handler(_signal, _frame):
        try:
            source.next()
        except RuntimeError as error:
            refused.append(str(error))
        try:
            source.close()
        except RuntimeError as error:
            refused.append(str(error))
        raise AlarmError

    with pytest.raises(AlarmError), alarm(handler):
        source.next()
    assert len(refused) == 2
    assert all("while another call" in message for message in refused)
    os.write(keep, b" line\n")
    assert source.next() == "half line"
    os.close(keep)


def test_a_signal_does_not_disturb_a_read_that_waits(pipe):
    keep = os.open(pipe, os.O_RDWR)
    source = LineSource(pipe, None)
    with alarm(lambda _signal, _frame: os.write(keep, b"line\n")):
        assert source.next() == "line"
    os.close(keep)


# --- CsvSource ---

ROWS = b'a,b,c\n1,"x, y",3\n\n4\n5,6,7,8\n"9\r\n\n9","1""0",\n11,12,13'
DICTS = [
    {"a": "1", "b": "x, y", "c": "3"},
    {},
    {"a": "4"},
    {"a": "5", "b": "6", "c": "7"},
    {"a": "9\r\n\n9", "b": '1"0', "c": ""},
    {"a": "11", "b": "12", "c": "13"},
]


def test_csv_source_gives_a_dict_a_row(write_file, read):
    assert read(CsvSource(write_file(ROWS), {}, None)) == DICTS


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_csv_source_takes_every_line_end(end, write_file, read):
    path = write_file(end.join([b"a,b", b"1,2", b"", b"3,4", b""]))
    assert read(CsvSource(path, {}, None)) == [{"a": "1", "b": "2"}, {}, {"a": "3", "b": "4"}]


def test_csv_source_resumes_after_each_row(write_file, read):
    path = write_file(ROWS)
    source = CsvSource(path, {}, None)
    assert source.snapshot() == 0
    assert read(CsvSource(path, {}, 0)) == DICTS
    for count in range(1, len(DICTS) + 1):
        source.next()
        position = source.snapshot()
        resumed = CsvSource(path, {}, position)
        assert resumed.snapshot() == position
        assert read(resumed) == DICTS[count:]
    assert source.snapshot() == len(ROWS)


@pytest.mark.parametrize(
    ("content", "fmtparams", "items"),
    [
        (b"a;b\n1;2\n", {"delimiter": ";"}, [{"a": "1", "b": "2"}]),
        (b"a\tb\n1\t2\n", {"dialect": "excel-tab"}, [{"a": "1", "b": "2"}]),
        (b"a b\n'1 1' 2\n", {"delimiter": " ", "quotechar": "'"}, [{"a": "1 1", "b": "2"}]),
        (b'"a","b"\n1,"x"\n', {"quoting": csv.QUOTE_NONNUMERIC}, [{"a": 1.0, "b": "x"}]),
        (b"a,a\n1,2\n", {}, [{"a": "2"}]),
        (b"", {}, []),
        (b"a,b\n", {}, []),
        (b"a,b", {}, []),
        (b"\n1,2\n", {}, [{}]),
        ("\ufeffa\né\n".encode(), {}, [{"\ufeffa": "é"}]),
        (b'a\n"open', {}, [{"a": "open"}]),
    ],
)
def test_csv_source_heeds_the_format(content, fmtparams, items, write_file, read):
    assert read(CsvSource(write_file(content), fmtparams, None)) == items


def test_csv_source_of_many_blocks(write_file, read):
    count = 50_000
    path = write_file(b"index,text\n" + b"".join(b'%d,"two\nlines"\r\n' % index for index in range(count)))
    assert path.stat().st_size > 3 * BLOCK_BYTES
    assert read(CsvSource(path, {}, None)) == [{"index": str(index), "text": "two\nlines"} for index in range(count)]


def test_csv_source_reads_a_pipe(pipe, read):
    def produce():
        pipe.write_bytes(b"a\n1\n2\n")

    producer = threading.Thread(target=produce)
    producer.start()
    assert read(CsvSource(pipe, {}, None)) == [{"a": "1"}, {"a": "2"}]
    producer.join()


@pytest.mark.parametrize(("bad", "error"), [(b'"x"y\n', csv.Error), (b"\xff\n", UnicodeDecodeError)])
def test_csv_source_delivers_the_rows_before_one_that_is_wrong(bad, error, write_file):
    path = write_file(b"a\n1\n2\n" + bad)
    items = []
    with pytest.raises(error):
        run_into(items, CsvSource(path, {"strict": True}, None))
    assert items == [{"a": "1"}, {"a": "2"}]
    source = CsvSource(path, {"strict": True}, None)
    source.next()
    source.next()
    with pytest.raises(error):
        source.next()
    assert source.snapshot() == 6


def test_csv_source_refuses_wrong_arguments(write_file):
    path = write_file(b"a\n")
    with pytest.raises(TypeError):
        CsvSource(path, {"nonsense": 1}, None)
    with pytest.raises(TypeError):
        CsvSource(path, None, None)
    with pytest.raises(csv.Error, match="unknown dialect"):
        CsvSource(path, {"dialect": "martian"}, None)
    with pytest.raises(UnicodeDecodeError):
        CsvSource(write_file(b"\xff\n"), {}, None)


def test_csv_source_refuses_to_read_once_closed(write_file):
    source = CsvSource(write_file(ROWS), {}, None)
    assert source.next() == DICTS[0]
    for _ in range(2):
        source.close()
    with pytest.raises(ValueError, match="closed"):
        source.next()


# --- ListSink ---


@pytest.mark.parametrize("make", [list, deque, type("Sub", (list,), {})])
def test_list_sink_appends(make):
    items = make()
    sink = ListSink(items)
    element = object()
    count = sys.getrefcount(element)
    assert sink.write(element) is None
    assert list(items) == [element]
    assert sys.getrefcount(element) == count + 1
    assert [sink.flush(), sink.snapshot(), sink.close()] == [None, None, None]


def test_list_sink_heeds_an_append_of_the_users_own():
    class Squares(list):
        def append(self, item):
            super().append(item * item)

    squares = Squares()
    ListSink(squares).write(3)
    assert squares == [9]


def test_list_sink_passes_on_what_append_raises():
    class Full:
        def append(self, item):
            raise OverflowError(item)

    with pytest.raises(OverflowError, match="7"):
        ListSink(Full()).write(7)
    with pytest.raises(AttributeError, match="append"):
        ListSink(7).write(7)


def test_list_sink_in_a_cycle_is_collected():
    class Items(list):
        pass

    items = Items()
    items.append(ListSink(items))
    ref = weakref.ref(items)
    del items
    gc.collect()
    assert ref() is None


# --- PrintSink ---


class Writes:
    """A file that notes each write."""

    def __init__(self):
        self.texts = []

    def write(self, text):
        self.texts.append(text)


@pytest.mark.parametrize("item", ["text", "", 7, None, ["a"], "é\n", ("k", 1.5)])
def test_print_sink_prints_in_one_write(item, monkeypatch):
    file, expected = Writes(), io.StringIO()
    print(item, file=expected)
    monkeypatch.setattr(sys, "stdout", file)
    assert PrintSink().write(item) is None
    assert file.texts == [expected.getvalue()]


def test_print_sink_finds_the_current_stdout(capsys):
    sink = PrintSink()
    sink.write("first")
    with contextlib.redirect_stdout(io.StringIO()) as file:
        sink.write("second")
    sink.write("third")
    assert capsys.readouterr().out == "first\nthird\n"
    assert file.getvalue() == "second\n"
    assert [sink.flush(), sink.snapshot(), sink.close()] == [None, None, None]


def test_print_sink_without_stdout(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert PrintSink().write("lost") is None
    monkeypatch.delattr(sys, "stdout")
    with pytest.raises(RuntimeError, match=r"lost sys\.stdout"):
        PrintSink().write("lost")


def test_print_sink_passes_on_errors(monkeypatch):
    class Unprintable:
        def __str__(self):
            raise LookupError(self)

    with pytest.raises(LookupError):
        PrintSink().write(Unprintable())
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    with pytest.raises(ValueError, match="closed"):
        PrintSink().write("text")


def test_print_sink_prints_what_prints_itself(capsys):
    sink = PrintSink()

    class Nested:
        def __str__(self):
            sink.write("inner")
            return "outer"

    sink.write(Nested())
    assert capsys.readouterr().out == "inner\nouter\n"


def test_print_sink_takes_no_argument():
    with pytest.raises(TypeError):
        PrintSink(1)


# --- FileSink ---


@pytest.mark.parametrize("end", ["\n", "", "é\r\n"])
def test_file_sink_writes_text_and_end(end, tmp_path):
    path = tmp_path / "out.txt"
    sink = FileSink(path, end, None)
    for text in ("a", "", "é漢😀", type("Sub", (str,), {})("sub")):
        assert sink.write(text) is None
    assert sink.close() is None
    assert path.read_bytes() == f"a{end}{end}é漢😀{end}sub{end}".encode()


def test_file_sink_holds_back_until_it_is_flushed(tmp_path):
    path = tmp_path / "out.txt"
    sink = FileSink(path, "\n", None)
    sink.write("a")
    assert path.read_bytes() == b""
    assert sink.flush() is None
    assert path.read_bytes() == b"a\n"
    sink.write("b")
    assert sink.snapshot() == 4
    assert path.read_bytes() == b"a\nb\n"
    sink.write("c")
    sink.close()
    assert path.read_bytes() == b"a\nb\nc\n"


def test_file_sink_flushes_when_it_is_dropped(tmp_path, unraisable):
    path = tmp_path / "out.txt"
    sink = FileSink(path, "\n", None)
    sink.write("a")
    del sink
    assert path.read_bytes() == b"a\n"
    assert unraisable == []


@pytest.mark.parametrize(
    "size", [0, 1, BUFFER_BYTES - 2, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 5 * BUFFER_BYTES]
)
@pytest.mark.parametrize("count", [1, 3])
def test_file_sink_around_the_size_of_its_buffer(size, count, tmp_path):
    path = tmp_path / "out.txt"
    sink = FileSink(path, "\n", None)
    sink.write("head")
    for _ in range(count):
        sink.write("x" * size)
    sink.write("tail")
    content = b"head\n" + (b"x" * size + b"\n") * count + b"tail\n"
    assert sink.snapshot() == len(content)
    assert path.read_bytes() == content


def test_file_sink_writes_whole_items_only(tmp_path):
    path = tmp_path / "out.txt"
    sink = FileSink(path, "\n", None)
    for _ in range(100):
        sink.write("x" * 999)
        assert path.stat().st_size % 1000 == 0
    assert 0 < path.stat().st_size < 100_000
    sink.close()


def test_file_sink_empties_a_file_unless_it_resumes(write_file):
    path = write_file(b"old\ntext\n")
    sink = FileSink(path, "\n", None)
    assert path.read_bytes() == b""
    assert sink.snapshot() == 0


@pytest.mark.parametrize("position", [0, 4, 9])
def test_file_sink_cuts_off_what_came_after_the_snapshot(position, write_file):
    path = write_file(b"old\ntext\n")
    sink = FileSink(path, "\n", position)
    assert sink.snapshot() == position
    sink.write("new")
    assert sink.snapshot() == position + 4
    assert path.read_bytes() == b"old\ntext\n"[:position] + b"new\n"


def test_file_sink_refuses_to_resume_where_the_text_is_gone(write_file):
    path = write_file(b"old\n")
    with pytest.raises(ValueError, match="byte 5: it has only 4"):
        FileSink(path, "\n", 5)
    assert path.read_bytes() == b"old\n"


@pytest.mark.parametrize("item", [3, None, b"bytes", ("key", "value")])
def test_file_sink_refuses_what_is_no_str(item, tmp_path):
    path = tmp_path / "out.txt"
    sink = FileSink(path, "\n", None)
    sink.write("before")
    with pytest.raises(TypeError, match=f"must be a str; got .*{type(item).__name__}"):
        sink.write(item)
    sink.close()
    assert path.read_bytes() == b"before\n"
    with pytest.raises(TypeError):
        FileSink(path, item, None)


def test_file_sink_refuses_what_cannot_be_encoded(tmp_path, in_encoding):
    path = tmp_path / "out.txt"
    sink = FileSink(path, "\n", None)
    with pytest.raises(UnicodeEncodeError):
        sink.write("\ud800")
    in_encoding("ISO-8859-1")
    sink = FileSink(path, "é", None)
    sink.write("à")
    with pytest.raises(UnicodeEncodeError):
        sink.write("漢")
    sink.write("b")
    sink.close()
    assert path.read_bytes() == b"\xe0\xe9b\xe9"
    with pytest.raises(UnicodeEncodeError):
        FileSink(path, "漢", None)
    assert path.read_bytes() == b"\xe0\xe9b\xe9"


def test_file_sink_refuses_to_write_once_closed(tmp_path):
    sink = FileSink(tmp_path / "out.txt", "\n", None)
    sink.write("a")
    for _ in range(2):
        assert sink.close() is None
    with pytest.raises(ValueError, match="closed"):
        sink.write("b")
    with pytest.raises(ValueError, match="closed"):
        sink.snapshot()
    assert sink.flush() is None


def test_file_sink_keeps_reference_counts(tmp_path):
    sink = FileSink(tmp_path / "out.txt", "\n", None)
    for text in ("plain text " * 2, "é text " * 2):
        count = sys.getrefcount(text)
        for _ in range(100):
            sink.write(text)
        assert sys.getrefcount(text) == count


full_disk = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


@full_disk
@pytest.mark.parametrize("method", ["flush", "snapshot", "close"])
def test_file_sink_reports_a_full_disk(method, unraisable):
    sink = FileSink("/dev/full", "\n", None)
    sink.write("a")
    with pytest.raises(OSError) as caught:
        getattr(sink, method)()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == "/dev/full"
    before = open_descriptors()
    del sink
    assert unraisable == []  # once is enough
    assert len(open_descriptors()) == len(before) - (method != "close")


@full_disk
def test_file_sink_reports_a_full_disk_while_writing():
    sink = FileSink("/dev/full", "\n", None)
    with pytest.raises(OSError) as caught:
        sink.write("x" * BUFFER_BYTES)
    assert caught.value.errno == errno.ENOSPC


@full_disk
def test_file_sink_reports_a_full_disk_when_it_is_dropped(unraisable):
    sink = FileSink("/dev/full", "\n", None)
    sink.write("a")
    del sink
    (error,) = unraisable
    assert error.errno == errno.ENOSPC


def test_file_sink_writes_what_a_passing_failure_held_up(tmp_path):
    program = """if True:
        import resource, signal, sys
        from bytewax._engine import FileSink
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        sink = FileSink(sys.argv[1], "\\n", None)
        sink.write("0123456789")
        resource.setrlimit(resource.RLIMIT_FSIZE, (4, resource.RLIM_INFINITY))
        for _ in range(2):
            try:
                sink.flush()
            except OSError as error:
                assert error.filename == sys.argv[1]
            else:
                raise AssertionError
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        sink.write("abc")
        assert sink.snapshot() == 15
    """
    path = tmp_path / "out.txt"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, str(path)], env=environment, check=True)
    assert path.read_bytes() == b"0123456789\nabc\n"


def test_file_sink_reports_a_pipe_that_nobody_reads(pipe):
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(pipe, "\n", None)
    sink.write("a")
    sink.flush()
    assert os.read(reader, 100) == b"a\n"
    os.close(reader)
    sink.write("b")
    with pytest.raises(BrokenPipeError) as caught:
        sink.flush()
    assert caught.value.filename == str(pipe)


def test_file_sink_cannot_resume_a_pipe(pipe):
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(OSError) as caught:
        FileSink(pipe, "\n", 1)
    assert caught.value.errno == errno.EINVAL
    os.close(reader)


def test_a_signal_handler_ends_a_write_that_waits(pipe):
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(pipe, "\n", None)
    texts = [str(index) * 50_000 for index in range(4)]  # more than a pipe and the buffer hold
    refused, written = [], []

    def handler(_signal, _frame):
        for call in (lambda: sink.write("inner"), sink.flush, sink.snapshot, sink.close):
            try:
                call()
            except RuntimeError as error:
                refused.append(str(error))
        raise AlarmError

    def write_all():
        for text in texts:
            sink.write(text)
            written.append(text + "\n")

    with pytest.raises(AlarmError), alarm(handler):
        write_all()
    assert len(refused) == 4
    content, expected = b"", "".join(written).encode()
    flusher = threading.Thread(target=sink.close)  # blocks, until what follows has read enough
    flusher.start()
    while len(content) < len(expected):
        with contextlib.suppress(BlockingIOError):
            content += os.read(reader, 1 << 16)
    flusher.join()
    os.close(reader)
    assert content == expected  # whole items, in order, none lost


def test_a_signal_does_not_disturb_a_write_that_waits(pipe):
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(pipe, "", None)
    content = []

    def handler(_signal, _frame):
        with contextlib.suppress(BlockingIOError):
            while True:
                content.append(os.read(reader, 1 << 16))

    text = "0123456789" * 50_000
    with alarm(handler):
        sink.write(text)
        sink.flush()
    handler(None, None)
    os.close(reader)
    assert b"".join(content).decode() == text


# --- threads and leaks ---


def in_threads(count, work):
    """Run `work` in threads at once; return what it raised."""
    errors = []
    start = threading.Barrier(count)

    def target():
        start.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=target) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def take_what_is_granted(source, items):
    while True:
        try:
            items.append(source.next())
        except RuntimeError:  # another thread is in it
            continue
        except StopIteration:
            return


@pytest.mark.parametrize("kind", ["list", "range", "generator", "lines", "csv"])
def test_threads_that_share_a_source_get_each_item_once(kind, write_file):
    count = 20_000
    numbers = b"".join(b"%d\n" % index for index in range(count))
    source = {
        "list": lambda: IterSource(list(range(count)), None),
        "range": lambda: IterSource(range(count), None),
        "generator": lambda: IterSource((index for index in range(count)), None),
        "lines": lambda: LineSource(write_file(numbers), None),
        "csv": lambda: CsvSource(write_file(b"n\n" + numbers), {}, None),
    }[kind]()
    items = []
    assert in_threads(3, lambda: take_what_is_granted(source, items)) == []
    assert sorted(int(item["n"] if kind == "csv" else item) for item in items) == list(range(count))


def test_threads_that_share_a_file_sink_write_each_item_once(tmp_path):
    path = tmp_path / "out.txt"
    sink = FileSink(path, "\n", None)
    text = "x" * 99

    def work():
        for _ in range(5000):
            while True:
                try:
                    sink.write(text)
                except RuntimeError:  # another thread is in it
                    continue
                break

    assert in_threads(3, work) == []
    sink.close()
    assert path.read_bytes() == (text + "\n").encode() * 15_000


def exercise_all(path):
    """Make, use and drop an object of each type, in every way that ends in success or in an error."""
    path.write_bytes(b"a,b\n1,2\n\n" + "é,3\n".encode())
    for make in KINDS.values():
        run(IterSource(make(ELEMENTS), None))
        take(IterSource(make(ELEMENTS), 2))
        with contextlib.suppress(StopIteration):
            IterSource(make(ELEMENTS), 7)
    for make in (lambda: LineSource(path, None), lambda: CsvSource(path, {}, None)):
        run(make())
        take(make())
        source = make()
        source.next()
        source.close()
        with contextlib.suppress(ValueError):
            source.next()
    with contextlib.suppress(TypeError):
        CsvSource(path, {"nonsense": 1}, None)
    for wrong in (path.parent, path / "missing", "a\0b", 3):
        for make in (lambda wrong: LineSource(wrong, None), lambda wrong: FileSink(wrong, "", None)):
            with contextlib.suppress(OSError, ValueError, TypeError):
                make(wrong)
    path.write_bytes(b"a\n1\n\xff\n")
    for make in (lambda: LineSource(path, None), lambda: CsvSource(path, {}, None)):
        with contextlib.suppress(UnicodeDecodeError):
            take(make())
        with contextlib.suppress(UnicodeDecodeError):
            run(make())
    sink = FileSink(path, "\n", None)
    for item in ("text", "é", "\ud800", 3):
        with contextlib.suppress(TypeError, UnicodeEncodeError):
            sink.write(item)
    sink.snapshot()
    sink.close()
    with contextlib.redirect_stdout(io.StringIO()):
        PrintSink().write(3)
    ListSink([]).write(3)
    ListSink(deque()).write(3)


def traced_bytes():
    """Memory in use, but garbage and the interpreter's cache of attributes, which grows at first."""
    sys._clear_type_cache()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_nothing_leaks(tmp_path):
    path = tmp_path / "file.txt"
    tracemalloc.start()
    try:
        for _ in range(20):
            exercise_all(path)
        before = traced_bytes()
        for _ in range(100):
            exercise_all(path)
        after = traced_bytes()
    finally:
        tracemalloc.stop()
    assert after - before < 100 * 40  # one object left by each turn is more


STARVE = """if True:
    import _testcapi, csv, sys
    from bytewax._engine import CsvSource, FileSink, IterSource, LineSource, ListSink, PrintSink

    path = sys.argv[1]
    elements = [300, None, 301]

    class Silent:
        def write(self, text):
            pass

    def attempt(call, *args):
        try:
            call(*args)
        except (OSError, StopIteration, UnicodeDecodeError):
            pass

    def read(source):
        for _ in range(4):
            attempt(source.next)
        source.snapshot()
        source.close()

    def write():
        sink = FileSink(path + ".out", "é", None)
        sink.write("漢" * 30_000)
        sink.snapshot()
        sink.close()
        FileSink(path + ".out", "é", None).write("dropped")

    calls = [
        lambda: read(IterSource(elements, None)),
        lambda: read(IterSource(range(300, 600), 3)),
        lambda: read(IterSource(map(str, elements), 0)),
        lambda: read(LineSource(path, None)),
        lambda: read(CsvSource(path, {}, None)),
        lambda: attempt(LineSource, path + ".missing", None),
        lambda: ListSink([]).write(300),
        lambda: PrintSink().write(300),
        write,
    ]
    for call in calls:
        for count in range(-1, 100):  # the allocation that fails; -1: none
            stdout, sys.stdout = sys.stdout, Silent()
            if count >= 0:
                _testcapi.set_nomemory(count, count + 1)
            try:
                call()
            except (MemoryError, TypeError):  # TypeError: csv.reader() takes a failure for a wrong argument
                assert count >= 0
            finally:
                _testcapi.remove_mem_hooks()
                sys.stdout = stdout
    print("survived")
"""


def test_no_failed_allocation_is_overlooked(write_file):
    pytest.importorskip("_testcapi")
    path = write_file(b"a,b\n1,2\n" + b"x" * 100_000 + b"\n\xff\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-X", "faulthandler", "-c", STARVE, str(path)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (finished.stdout, finished.returncode) == ("survived\n", 0), finished.stderr
