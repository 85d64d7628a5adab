"""The bytes that processes tell each other (engine/net/frame.h), for tests that play a process or read along."""

import struct

HELLO, AUTH, REFUSE, PING, BYE, ERROR, ALL = range(1, 8)
ASSIGN, READY, DATA, MORE, MARK, CREDIT, PROGRESS, DURABLE, STOP = range(16, 25)
TAG_BYTES = 16


def frame(kind, payload=b"", *, flags=0, size=None):
    """One frame; `size` if it is to lie about that."""
    return struct.pack("<IBBH", len(payload) if size is None else size, kind, flags, 0) + payload


def record(*frames, size=None):
    """One record without a tag: as in a cluster without a secret."""
    body = b"".join(frames)
    return struct.pack("<I", len(body) if size is None else size) + body


def split_record(body):
    """Take the frames of a record apart: (kind, payload) each."""
    at, found = 0, []
    while at < len(body):
        size, kind, _, _ = struct.unpack_from("<IBBH", body, at)
        found.append((kind, bytes(body[at + 8 : at + 8 + size])))
        at += 8 + size
    return found


class Reader:
    """Reads a recorded direction of a connection, record by record.

    Before the connection is open records have no tag. Afterwards, with a secret, each has one.
    """

    def __init__(self, stream, *, has_tags):
        self._stream, self._has_tags = bytes(stream), has_tags
        self.at = 0

    def next(self):
        """The next record: its bytes as they went over the wire, and its frames. None: there is no whole one."""
        stream = self._stream
        if len(stream) - self.at < 4:
            return None
        (size,) = struct.unpack_from("<I", stream, self.at)
        start, body = self.at, self.at + 4
        tag = 0
        if self._has_tags and stream[body + 4] not in (HELLO, AUTH, REFUSE):
            tag = TAG_BYTES
        end = body + size + tag
        if end > len(stream):
            return None
        self.at = end
        return stream[start:end], split_record(stream[body : body + size])

    def all(self):
        found = []
        while (read := self.next()) is not None:
            found.append(read)
        return found
