"""The standard output and files, as dataflows read and write them."""

import contextlib
import io

import pytest

from bytewax.connectors.files import CSVInput, DirInput, DirOutput, FileInput, FileOutput
from bytewax.connectors.stdio import StdOutput
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingInput, TestingOutput, poll_next, run_main


def read(source, run=run_main):
    flow, out = Dataflow(), []
    flow.input("inp", source)
    flow.output("out", TestingOutput(out))
    run(flow)
    return out


def write(items, output, run=run_main):
    flow = Dataflow()
    flow.input("inp", TestingInput(items))
    flow.output("out", output)
    run(flow)


# --- standard output ----------------------------------------------------------------------------------


def test_items_are_printed(capsys, entry_point):
    write([1, "two", None, [3], ("a", 4)], StdOutput(), run=entry_point)
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(["1", "two", "[3]", "('a', 4)"])


def test_items_are_printed_to_the_descriptor(capfd):
    write(["a", "b"], StdOutput())
    assert capfd.readouterr().out == "a\nb\n"


def test_printing_follows_a_redirection(entry_point):
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        write(range(3), StdOutput(), run=entry_point)
    assert sorted(caught.getvalue().splitlines()) == ["0", "1", "2"]


def test_printing_follows_a_redirection_during_the_run():
    first, second = io.StringIO(), io.StringIO()

    def items():
        yield "before"
        with contextlib.redirect_stdout(second):
            yield "after"

    with contextlib.redirect_stdout(first):
        write(items(), StdOutput())
    assert (first.getvalue(), second.getvalue()) == ("before\n", "after\n")


def test_a_line_is_written_at_once(entry_point):
    writes = []

    class Noting(io.StringIO):
        def write(self, text):
            writes.append(text)
            return len(text)

    with contextlib.redirect_stdout(Noting()):
        write(range(20), StdOutput(), run=entry_point)
    assert sorted(writes) == sorted(f"{number}\n" for number in range(20))


def test_an_item_whose_str_fails_fails_the_run():
    class Unprintable:
        def __str__(self):
            raise ValueError("no text")

    with pytest.raises(ValueError, match=r"error writing to dynamic output(.|\n)*no text"):
        write([Unprintable()], StdOutput())


# --- files, read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [str, lambda path: path], ids=["str", "Path"])
def test_each_line_is_an_item(tmp_path, convert, entry_point):
    path = tmp_path / "in.txt"
    path.write_text("one\ntwo \n three")
    assert sorted(read(FileInput(convert(path)), run=entry_point)) == [" three", "one", "two "]


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\nb\n\nc\n", ["a", "b", "", "c"]),
        (b"a\r\nb\rc\nd", ["a", "b", "c", "d"]),
        (b"\r\n\r\n", ["", ""]),
        (b"a\n\n\n", ["a", "", ""]),
        ("\u00e9\u2028\x0bx\n".encode(), ["\u00e9\u2028\x0bx"]),
    ],
    ids=ascii,
)
def test_line_ends(tmp_path, content, lines):
    path = tmp_path / "in.txt"
    path.write_bytes(content)
    assert read(FileInput(path)) == lines


def test_a_file_is_one_partition_by_its_path(tmp_path):
    path = tmp_path / "in.txt"
    assert set(FileInput(path).list_parts()) == {str(path)}
    with pytest.raises(AssertionError, match="Can't resume reading from different file"):
        FileInput(path).build_part("other", None)


def test_a_missing_file_fails_the_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="error building PartitionedInput"):
        read(FileInput(tmp_path / "none"))


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(IsADirectoryError):
        read(FileInput(tmp_path))


def test_bytes_that_are_no_text_fail_the_run(tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(b"good\nb\xffd\n")
    flow, out = Dataflow(), []
    flow.input("inp", FileInput(path))
    flow.output("out", TestingOutput(out))
    with pytest.raises(UnicodeDecodeError):
        run_main(flow)
    assert out == ["good"]


@pytest.mark.parametrize("make", [FileInput, CSVInput])
def test_reading_resumes_after_the_line_of_a_snapshot(tmp_path, make):
    path = tmp_path / "in.txt"
    path.write_text("a\nb\n\nd\ne\n")
    first = make(path).build_part(str(path), None)
    start = first.snapshot()
    items = [poll_next(first), poll_next(first)]
    position = first.snapshot()
    second = make(path).build_part(str(path), position)
    assert second.snapshot() == position
    for source in (first, second):
        rest = []
        with pytest.raises(StopIteration):
            while True:
                rest.append(poll_next(source))
        again = make(path).build_part(str(path), start)
        assert [poll_next(again) for _ in range(len(items) + len(rest))] == items + rest


def test_the_first_snapshot_of_a_file_is_its_start(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("a\nb\n")
    assert FileInput(path).build_part(str(path), None).snapshot() == 0
    assert poll_next(FileInput(path).build_part(str(path), 0)) == "a"


@pytest.mark.parametrize("convert", [str, lambda path: path], ids=["str", "Path"])
def test_all_files_of_a_directory_are_read(tmp_path, convert, entry_point):
    for number in range(5):
        (tmp_path / f"part{number}.txt").write_text(f"{number}a\n{number}b\n")
    out = read(DirInput(convert(tmp_path)), run=entry_point)
    assert sorted(out) == sorted(f"{number}{letter}" for number in range(5) for letter in "ab")


def test_a_pattern_chooses_files_and_directories_are_left_out(tmp_path):
    (tmp_path / "in.txt").write_text("yes\n")
    (tmp_path / "in.log").write_text("no\n")
    (tmp_path / "sub.txt").mkdir()
    (tmp_path / "sub.txt" / "deep.txt").write_text("no\n")
    source = DirInput(tmp_path, glob_pat="*.txt")
    assert set(source.list_parts()) == {"in.txt"}
    assert read(source) == ["yes"]
    assert set(DirInput(tmp_path, "**/*.txt").list_parts()) == {"in.txt", "sub.txt/deep.txt"}


def test_a_directory_must_exist(tmp_path):
    missing = tmp_path / "none"
    with pytest.raises(ValueError) as caught:
        DirInput(missing)
    assert str(caught.value) == f"input directory `{missing}` does not exist"
    missing.write_text("a file")
    with pytest.raises(ValueError) as caught:
        DirInput(missing)
    assert str(caught.value) == f"input directory `{missing}` is not a directory"


@pytest.mark.parametrize("convert", [str, lambda path: path], ids=["str", "Path"])
def test_each_row_is_a_dict(tmp_path, convert, entry_point):
    path = tmp_path / "in.csv"
    path.write_text("name,age\nann,1\nbob,2\n")
    out = read(CSVInput(convert(path)), run=entry_point)
    assert sorted(out, key=str) == [{"name": "ann", "age": "1"}, {"name": "bob", "age": "2"}]


def test_rows_need_not_be_as_long_as_the_header(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("a,b\n1\n1,2,3\n\n1,2\n")
    assert read(CSVInput(path)) == [{"a": "1"}, {"a": "1", "b": "2"}, {}, {"a": "1", "b": "2"}]


def test_a_csv_file_may_be_written_in_many_ways(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("a;b\n'x;y';z\n'two\nlines';'it''s'\n")
    out = read(CSVInput(path, delimiter=";", quotechar="'"))
    assert out == [{"a": "x;y", "b": "z"}, {"a": "two\nlines", "b": "it's"}]


@pytest.mark.parametrize("content", ["", "a,b\n"], ids=repr)
def test_a_csv_file_without_rows_has_no_items(tmp_path, content):
    path = tmp_path / "in.csv"
    path.write_text(content)
    assert read(CSVInput(path)) == []


def test_a_csv_file_is_one_partition_by_its_path(tmp_path):
    path = tmp_path / "in.csv"
    assert set(CSVInput(path).list_parts()) == {str(path)}
    with pytest.raises(AssertionError, match="Can't resume reading from different file"):
        CSVInput(path).build_part("other", None)


# --- files, written -----------------------------------------------------------------------------------


@pytest.mark.parametrize("convert", [str, lambda path: path], ids=["str", "Path"])
def test_values_are_written_one_a_line(tmp_path, convert, entry_point):
    path = tmp_path / "out.txt"
    write([("a", "1"), ("b", "2"), ("c", "\u00e9")], FileOutput(convert(path)), run=entry_point)
    assert sorted(path.read_text(encoding="utf-8").splitlines()) == ["1", "2", "\u00e9"]


def test_what_ends_a_value_can_be_chosen(tmp_path):
    path = tmp_path / "out.txt"
    write([("a", "1"), ("b", "2")], FileOutput(path, end=";"))
    assert path.read_text() == "1;2;"


def test_a_file_is_emptied_at_the_start(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("what was there before\n")
    write([("a", "new")], FileOutput(path))
    assert path.read_text() == "new\n"
    write([], FileOutput(path))
    assert path.read_text() == ""


def test_writing_resumes_where_the_snapshot_was(tmp_path):
    path = tmp_path / "out.txt"
    sink = FileOutput(path).build_part(str(path), None)
    assert sink.snapshot() == 0
    sink.write("one")
    position = sink.snapshot()
    sink.write("two")
    sink.close()
    assert path.read_text() == "one\ntwo\n"
    sink = FileOutput(path).build_part(str(path), position)
    assert sink.snapshot() == position
    assert path.read_text() == "one\n"
    sink.write("three")
    sink.close()
    assert path.read_text() == "one\nthree\n"


@pytest.mark.parametrize("item", ["plain text", 1], ids=repr)
def test_a_file_output_wants_pairs(tmp_path, item):
    with pytest.raises(TypeError, match="2-tuple"):
        write([item], FileOutput(tmp_path / "out.txt"))


@pytest.mark.parametrize("value", [1, None, b"bytes"], ids=repr)
def test_a_value_must_be_a_str(tmp_path, value):
    path = tmp_path / "out.txt"
    with pytest.raises(TypeError, match="error writing to output"):
        write([("a", "good"), ("a", value)], FileOutput(path))
    assert path.read_text() == "good\n"


def test_a_file_to_write_is_one_partition_by_its_path(tmp_path):
    path = tmp_path / "out.txt"
    output = FileOutput(path)
    assert set(output.list_parts()) == {str(path)}
    assert output.assign_part("any key") == str(path)
    with pytest.raises(AssertionError, match="Can't resume writing to different file"):
        output.build_part("other", None)


def test_the_directory_of_a_file_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match="error building PartitionedOutput"):
        write([("a", "1")], FileOutput(tmp_path / "none" / "out.txt"))


def test_what_was_written_is_in_the_file_before_a_source_is_asked(tmp_path):
    path, seen = tmp_path / "out.txt", []

    def items():
        yield ("a", "1")
        seen.append(path.read_text())
        yield ("a", "2")
        seen.append(path.read_text())

    write(items(), FileOutput(path))
    assert seen == ["1\n", "1\n2\n"]


def test_what_was_written_is_in_the_file_after_a_failure(tmp_path):
    path = tmp_path / "out.txt"
    flow = Dataflow()
    flow.input("inp", TestingInput([("a", "1"), ("a", "2"), ("a", None)]))
    flow.map(lambda item: (item[0], item[1] + "!"))
    flow.output("out", FileOutput(path))
    with pytest.raises(TypeError):
        run_main(flow)
    assert path.read_text() == "1!\n2!\n"


def test_what_was_written_is_in_the_file_when_a_later_step_sees_it_fail(tmp_path):
    """Also when it is not the step that fails which holds it back."""
    path = tmp_path / "out.txt"
    flow = Dataflow()
    flow.input("inp", TestingInput([("a", "1"), ("a", "2")]))
    flow.output("out", FileOutput(path))
    flow.map(lambda item: 1 // (item[1] != "2"))
    flow.output("end", TestingOutput([]))
    with pytest.raises(ZeroDivisionError):
        run_main(flow)
    assert path.read_text() == "1\n2\n"


def test_a_key_has_its_file(tmp_path, entry_point):
    output = DirOutput(tmp_path, 3, assign_file=int)
    write([("1", "one"), ("2", "two"), ("3", "three"), ("1", "again")], output, run=entry_point)
    content = {path.name: sorted(path.read_text().splitlines()) for path in tmp_path.iterdir()}
    assert content == {"part_0": ["three"], "part_1": ["again", "one"], "part_2": ["two"]}


def test_a_key_has_its_file_by_adler32(tmp_path):
    from zlib import adler32

    output = DirOutput(tmp_path, 4)
    assert set(output.list_parts()) == {f"part_{index}" for index in range(4)}
    for key in ["", "a", "\u6f22", "key-1"]:
        assert output.assign_part(key) == f"part_{adler32(key.encode()) % 4}"


def test_files_can_be_named(tmp_path):
    output = DirOutput(tmp_path, 2, file_namer=lambda index, count: f"{index}of{count}", assign_file=int, end="|")
    write([("0", "a"), ("1", "b"), ("3", "c")], output)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"0of2": "a|", "1of2": "b|c|"}


def test_the_directory_to_write_to_must_exist(tmp_path):
    with pytest.raises(FileNotFoundError):
        write([("a", "1")], DirOutput(tmp_path / "none", 2))


@pytest.mark.parametrize("count", [0, -1])
def test_there_must_be_a_file_to_write_to(tmp_path, count):
    with pytest.raises(ValueError, match="file_count must be positive"):
        DirOutput(tmp_path, count)
