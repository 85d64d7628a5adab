"""Input from and output to files on the local disk.

Files are read and written natively, in large blocks. Positions are counted in bytes: a snapshot says
how much of the file had been read, or how long it was.
"""

from __future__ import annotations

from pathlib import Path
from zlib import adler32

from bytewax._engine import CsvSource, FileSink, LineSource
from bytewax.inputs import PartitionedInput, StatefulSource
from bytewax.outputs import PartitionedOutput, StatefulSink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from typing import Any

__all__ = ["CSVInput", "DirInput", "DirOutput", "FileInput", "FileOutput"]


class FileInput(PartitionedInput):
    r"""Read a text file, a `str` for each line, without its line end. One partition.

    `\n`, `\r\n` and `\r` end a line. A blank line is an item, too.

    Args:
        path: The file. It is opened as the dataflow starts.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(path)

    def list_parts(self) -> set[str]:
        """Name the file."""
        return {str(self._path)}

    def build_part(self, for_part: str, resume_state: Any) -> StatefulSource:
        """Open the file, at the position of a snapshot."""
        if for_part != str(self._path):
            msg = "Can't resume reading from different file"
            raise AssertionError(msg)
        return LineSource(self._path, resume_state)  # type: ignore[return-value]  # registered as a subclass


class DirInput(PartitionedInput):
    """Read all text files of a directory, a `str` for each line. One partition for each file.

    Args:
        dir: The directory; it must exist.
        glob_pat: Which files to read. Directories that match are left out.

    Raises:
        ValueError: There is no such directory.
    """

    def __init__(self, dir: str | PathLike[str], glob_pat: str = "*") -> None:  # noqa: A002  # the public name
        self._dir = Path(dir)
        self._glob_pat = glob_pat
        if not self._dir.exists():
            msg = f"input directory `{dir}` does not exist"
            raise ValueError(msg)
        if not self._dir.is_dir():
            msg = f"input directory `{dir}` is not a directory"
            raise ValueError(msg)

    def list_parts(self) -> set[str]:
        """Name the files, relative to the directory."""
        return {str(path.relative_to(self._dir)) for path in self._dir.glob(self._glob_pat) if not path.is_dir()}

    def build_part(self, for_part: str, resume_state: Any) -> StatefulSource:
        """Open a file, at the position of a snapshot."""
        return LineSource(self._dir / for_part, resume_state)  # type: ignore[return-value]  # registered as a subclass


class CSVInput(PartitionedInput):
    """Read a CSV file, a `dict` from header to field for each row but the first. One partition.

    All fields are `str`. A row that is too short has fewer keys; of one too long the rest is left out.

    Args:
        path: The file. It is opened as the dataflow starts.
        **fmtparams: How it is written, as `csv.reader` takes it: `delimiter=";"` for example.
    """

    def __init__(self, path: str | PathLike[str], **fmtparams: Any) -> None:
        self._path = Path(path)
        self._fmtparams = fmtparams

    def list_parts(self) -> set[str]:
        """Name the file."""
        return {str(self._path)}

    def build_part(self, for_part: str, resume_state: Any) -> StatefulSource:
        """Open the file, at the position of a snapshot."""
        if for_part != str(self._path):
            msg = "Can't resume reading from different file"
            raise AssertionError(msg)
        return CsvSource(self._path, self._fmtparams, resume_state)  # type: ignore[return-value]  # registered as a subclass


class FileOutput(PartitionedOutput):
    """Write the values of `(key, value)` items to a text file. One partition.

    The file is emptied at the start; on resume, cut to what it held at the snapshot. What is written
    leaves the process before its worker waits and at every end; it is not synced to the disk.

    Args:
        path: The file. Its directory must exist.
        end: Written after each value.
    """

    def __init__(self, path: str | PathLike[str], end: str = "\n") -> None:
        self._path = Path(path)
        self._end = end

    def list_parts(self) -> set[str]:
        """Name the file."""
        return {str(self._path)}

    def assign_part(self, item_key: str) -> str:
        """Name the file, whatever the key."""
        return str(self._path)

    def build_part(self, for_part: str, resume_state: Any) -> StatefulSink:
        """Open the file, cut to the position of a snapshot."""
        if for_part != str(self._path):
            msg = "Can't resume writing to different file"
            raise AssertionError(msg)
        return FileSink(self._path, self._end, resume_state)  # type: ignore[return-value]  # registered as a subclass


def _default_name(index: int, file_count: int) -> str:
    return f"part_{index}"


def _default_file(key: str) -> int:
    return adler32(key.encode())


class DirOutput(PartitionedOutput):
    """Write the values of `(key, value)` items to the files of a directory, by key.

    Each file is written as `FileOutput` does.

    Args:
        dir: The directory; it must exist.
        file_count: How many files there are to be, each one partition.
        file_namer: Called with the index of a file and `file_count`; returns its name.
        assign_file: Called with a key; returns an integer, which modulo `file_count` is the index of
            the file. Must be the same in every process and run, which `hash` is not.
        end: Written after each value.

    Raises:
        ValueError: `file_count` is not positive.
    """

    def __init__(
        self,
        dir: str | PathLike[str],  # noqa: A002  # the public name
        file_count: int,
        file_namer: Callable[[int, int], str] = _default_name,
        assign_file: Callable[[str], int] = _default_file,
        end: str = "\n",
    ) -> None:
        if file_count < 1:
            msg = f"file_count must be positive; got {file_count}"
            raise ValueError(msg)
        self._dir = Path(dir)
        self._file_count = file_count
        self._file_namer = file_namer
        self._assign_file = assign_file
        self._end = end

    def list_parts(self) -> set[str]:
        """Name the files."""
        return {self._file_namer(index, self._file_count) for index in range(self._file_count)}

    def assign_part(self, item_key: str) -> str:
        """Name the file of a key."""
        return self._file_namer(self._assign_file(item_key) % self._file_count, self._file_count)

    def build_part(self, for_part: str, resume_state: Any) -> StatefulSink:
        """Open a file, cut to the position of a snapshot."""
        return FileSink(self._dir / for_part, self._end, resume_state)  # type: ignore[return-value]  # registered as a subclass
