"""What goes from process to process: items as bytes and back, by the hooks that _engine has for tests."""

import collections
import datetime as dt
import decimal
import enum
import gc
import itertools
import math
import os
import pickle
import struct
import subprocess
import sys
import textwrap
import threading
import types
import uuid
from pathlib import Path

import pytest

from bytewax._engine import BytewaxRuntimeError, _decode, _encode

BLOCK_BYTES = 64 * 1024
DEPTH = 200  # deeper values are left to pickle
COUNT_BYTES = 4  # what the hooks put before a batch


def round_trip(item):
    [back] = _decode(_encode([item]))
    return back


def takes_pickle(items):
    """Tell whether items take pickle: what pickle writes is in their bytes then."""
    return b"\x80\x05\x95" in _encode(items)


def is_pickled(item):
    return takes_pickle([item])


def same(one, other):
    """Equal, of the same exact types all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(map(same, one.items(), other.items()))
    if isinstance(one, set | frozenset):
        return one == other and sorted(map(repr, one)) == sorted(map(repr, other))
    if isinstance(one, decimal.Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, dt.datetime):
        return repr(one) == repr(other)  # fold, which == passes over, included
    return one == other


class Sub:
    """Makes classes that must not turn into their bases."""

    class Int(int):
        pass

    class Float(float):
        pass

    class Str(str):
        pass

    class Bytes(bytes):
        pass

    class Tuple(tuple):
        pass

    class List(list):
        pass

    class Dict(dict):
        pass

    class Set(set):
        pass

    class FrozenSet(frozenset):
        pass

    class DateTime(dt.datetime):
        pass

    class Date(dt.date):
        pass

    class TimeDelta(dt.timedelta):
        pass

    class Decimal(decimal.Decimal):
        pass

    class Uuid(uuid.UUID):
        pass


# Where pickle finds them.
for _name, _class in vars(Sub).items():
    if isinstance(_class, type):
        _class.__qualname__ = _class.__name__ = f"Sub{_name}"
        globals()[_class.__name__] = _class

Point = collections.namedtuple("Point", "x y")


class Color(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class Thing:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return type(other) is Thing and other.value == self.value

    def __hash__(self):
        return hash(self.value)


@pytest.fixture(autouse=True)
def findable(monkeypatch):
    """Make this module one that pickle can import: pytest gives it a name of its own."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or types.ModuleType(__name__))
    for name, value in globals().items():
        setattr(sys.modules[__name__], name, value)


INTS = [
    sign * 2**power + delta
    for power in (0, 3, 6, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128)
    for sign in (1, -1)
    for delta in (-1, 0, 1)
]
NATIVE = [
    None,
    True,
    False,
    *INTS,
    2**5000,
    -(2**5000),
    0.0,
    -0.0,
    1.5,
    math.inf,
    -math.inf,
    math.nan,
    -math.nan,
    struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000001))[0],  # a signalling NaN
    5e-324,
    "",
    "a",
    "\x7f",
    "\x80",
    "\xff",
    "é",
    "日本",
    "😀",
    "\0",
    "\ud800",
    "a\udfffb",
    "\ud83d\ude00",  # two surrogates, not one emoji
    *("x" * size for size in (2, 7, 8, 9, 63, 64, 65, 127, 128, 5000)),
    "é" * 5000,
    b"",
    b"\0",
    *(b"x" * size for size in (1, 63, 64, 65, 127, 128, 4096)),
    (),
    (1,),
    ((),),
    *(tuple(range(size)) for size in (2, 7, 8, 9, 200)),
    [],
    [[]],
    [1, [2, [3, "four"]]],
    list(range(200)),
    {},
    {"b": 1, "a": 2},
    {1: {2: {3: None}}, None: (), (1, "x"): [b""], 1.5: -1, dt.date(2020, 1, 1): decimal.Decimal(1)},
    set(),
    {1, "a", (2, 3), frozenset([4])},
    frozenset(),
    frozenset([1, "a"]),
    dt.datetime.min,
    dt.datetime.max,
    dt.datetime(2024, 2, 29, 23, 59, 59, 999999, fold=1),
    dt.datetime(2024, 2, 29, tzinfo=dt.timezone.utc),
    dt.datetime(2024, 2, 29, tzinfo=dt.timezone.utc, fold=1),
    dt.date.min,
    dt.date.max,
    dt.timedelta.min,
    dt.timedelta.max,
    dt.timedelta(-1, 1, 1),
    dt.timedelta(0),
    *map(
        decimal.Decimal,
        ["0", "-0", "0.10", "-1E+5", "1E-999", "Infinity", "-Infinity", "NaN", "-NaN123", "sNaN7", "9" * 500],
    ),
    uuid.UUID(int=0),
    uuid.UUID(int=2**128 - 1),
    uuid.UUID("12345678-1234-5678-1234-567812345678"),
]
PICKLED = [
    bytearray(b"abc"),
    1 + 2j,
    range(3),
    ...,
    NotImplemented,
    int,
    len,
    slice(1, 2),
    Thing(1),
    Color.RED,
    Number.ONE,
    Point(1, 2),
    collections.OrderedDict(a=1),
    collections.defaultdict(list, a=[1]),
    collections.Counter("aab"),
    collections.deque([1, 2]),
    dt.time(1, 2, 3),
    dt.timezone.utc,
    dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(0), "Z")),
    uuid.UUID(int=5, is_safe=uuid.SafeUUID.safe),
    memoryview,
]
SUBCLASSES = [
    Sub.Int(5),
    Sub.Float(1.5),
    Sub.Str("s"),
    Sub.Bytes(b"b"),
    Sub.Tuple([1]),
    Sub.List([1]),
    Sub.Dict(a=1),
    Sub.Set([1]),
    Sub.FrozenSet([1]),
    Sub.DateTime(2024, 1, 1),
    Sub.Date(2024, 1, 1),
    Sub.TimeDelta(1),
    Sub.Decimal("1.5"),
    Sub.Uuid(int=7),
]


@pytest.mark.parametrize("item", NATIVE, ids=lambda item: f"{type(item).__name__}-{str(item)[:20]!a}")
def test_what_is_native_comes_back_equal_and_without_pickle(item):
    assert same(round_trip(item), item)
    assert same(round_trip((item, [item])), (item, [item]))
    assert not is_pickled(item)


@pytest.mark.parametrize("item", PICKLED, ids=lambda item: f"{type(item).__name__}-{str(item)[:20]!a}")
def test_what_is_not_native_comes_back_through_pickle(item):
    assert is_pickled(item)
    back = round_trip(item)
    assert type(back) is type(item)
    assert repr(back) == repr(item) or back == item
    assert round_trip([1, item])[0] == 1
    assert type(round_trip({"k": item})["k"]) is type(item)


@pytest.mark.parametrize("item", SUBCLASSES, ids=lambda item: type(item).__name__)
def test_a_subclass_never_turns_into_its_base(item):
    for back in (round_trip(item), round_trip((item,))[0], round_trip({"k": [item]})["k"][0]):
        assert type(back) is type(item)
        assert back == item


def test_a_whole_batch_comes_back_in_its_order():
    items = NATIVE + SUBCLASSES + NATIVE
    assert all(map(same, _decode(_encode(items)), items))
    assert _decode(_encode([])) == []


def test_a_batch_of_all_kinds_takes_one_pickle():
    assert _encode([Thing(i) for i in range(100)] + NATIVE).count(b"\x80\x05\x95") == 1


def test_a_dict_keeps_its_order():
    assert list(round_trip({"b": 1, "a": 2, "c": 3})) == ["b", "a", "c"]


@pytest.mark.parametrize("size", [BLOCK_BYTES - 200, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES])
def test_batches_run_over_several_blocks(size):
    items = [b"x" * size, "y" * size, "é" * size, 2 ** (8 * size), list(range(size)), bytearray(size), 7]
    assert _decode(_encode(items)) == items


@pytest.mark.parametrize("offset", range(BLOCK_BYTES - 150, BLOCK_BYTES - 10, 7))
def test_any_value_may_meet_the_end_of_a_block(offset):
    items = [b"x" * (offset - 100), *NATIVE]
    assert all(map(same, _decode(_encode(items)), items))


# --- keys ---


def test_keyed_batches_carry_their_hashes():
    rows = [("a", 1), ("é", [2]), ("", Thing(3)), ("k" * 3000, None)]
    keyed = _decode(_encode(rows, shape="keyed"), shape="keyed")
    assert [(key, value) for key, _, value in keyed] == rows
    again = _decode(_encode(rows[::-1], shape="keyed"), shape="keyed")
    assert {key: code for key, code, _ in again} == {key: code for key, code, _ in keyed}
    assert len({code for _, code, _ in keyed}) == len(rows)


def test_batches_for_partitions_carry_indices():
    rows = [(0, "a", 1), (127, "b", (2,)), (128, "é", Thing(3)), (2**64 - 1, "", None)]
    assert _decode(_encode(rows, shape="part"), shape="part") == rows


def test_a_key_that_is_no_plain_str_is_corrupt():
    for key in (1, b"a", ("a",), "\ud800"):
        with pytest.raises(BytewaxRuntimeError, match="protocol violated"):
            _decode(_encode([key, 5])[COUNT_BYTES:].join([struct.pack("<I", 1), b""]), shape="keyed")


# --- sharing ---


def test_what_is_shared_within_an_item_stays_shared():
    inner = [1]
    for item in ([inner, inner], (inner, (inner,)), {"a": inner, "b": [inner]}):
        back = round_trip(item)
        assert back == item
        flat = list(back.values()) if isinstance(back, dict) else list(back)
        flat[0].append(2)
        assert (flat[1] if flat[1] and flat[1][0] == 1 else flat[1][0]) == [1, 2]
    both = Thing(1)
    back = round_trip([both, [both]])
    assert back[0] is back[1][0]


def test_what_is_shared_with_an_object_stays_shared():
    inner = [1]
    back = round_trip((inner, Thing(inner)))
    assert back[0] is back[1].value
    thing = Thing(None)
    item = [thing]
    thing.value = item
    back = round_trip(item)
    assert back[0].value is back


def test_cycles_come_back():
    itself = []
    itself.append(itself)
    back = round_trip(itself)
    assert back[0] is back
    through = ([], {})
    through[0].append(through)
    through[1]["up"] = through[0]
    back = round_trip(through)
    assert back[0][0] is back
    assert back[1]["up"] is back[0]
    [[_, back]] = _decode(_encode([("key", itself)]))
    assert back[0] is back


def test_items_that_others_hold_are_still_written_natively():
    inner = [1, 2]
    item = ("key", inner, (3, 4))  # this function refers to all
    assert not is_pickled(item)
    assert round_trip(item) == item


def test_an_item_that_would_unfold_without_end_stays_small():
    item = (1, 2)
    for _ in range(60):
        item = (item, item)
    assert len(_encode([item])) < 10_000
    back = round_trip(item)
    assert back[0] is back[1]
    large = "x" * 100_000
    assert len(_encode([[large] * 100])) < 200_000


def test_many_shared_containers_in_one_item():
    parts = [[i] for i in range(3000)]
    assert not is_pickled(parts)
    assert round_trip(parts) == parts
    back = round_trip([*parts, parts[2500]])
    assert back[-1] is back[2500]


@pytest.mark.parametrize(
    "make", [lambda: [Thing(1)], lambda: (Thing(1), {"a": [Thing(2)]}), lambda: {"b": {"c": Thing(3)}}]
)
def test_containers_that_nobody_else_holds_are_written_natively(make):
    pickled = []

    def loads(view):
        pickled.extend(pickle.loads(view))
        return pickled

    assert _decode(_encode(make() for _ in range(3)), loads=loads) == [make()] * 3
    assert {type(value) for value in pickled} == {Thing}


# --- depth ---


@pytest.mark.parametrize("depth", [DEPTH - 1, DEPTH, DEPTH + 1, 2 * DEPTH])
@pytest.mark.parametrize(
    "wrap",
    [lambda v: [v], lambda v: (v,), lambda v: {"k": v}, lambda v: frozenset([v])],
    ids=["list", "tuple", "dict", "set"],
)
def test_deep_values_come_back(depth, wrap):
    item = 7
    for _ in range(depth):
        item = wrap(item)
    back = round_trip(item)
    for _ in range(depth):
        back = back["k"] if isinstance(back, dict) else next(iter(back))
    assert back == 7


def test_what_is_too_deep_for_pickle_too_is_an_error():
    item = []
    for _ in range(100_000):
        item = [item]
    with pytest.raises(BytewaxRuntimeError, match="type builtins.list") as raised:
        _encode([item])
    assert isinstance(raised.value.__cause__, RecursionError)
    while item:
        item = item.pop()


# --- what can't be pickled ---


@pytest.mark.parametrize("before", [0, 5])
def test_an_item_that_cannot_be_pickled_is_named(before):
    item = ("key", (number for number in []))
    with pytest.raises(BytewaxRuntimeError, match=r"type builtins\.tuple .*\('key', <generator") as raised:
        _encode([Thing(0)] * before + [1, item, 2])
    assert isinstance(raised.value.__cause__, TypeError)
    assert "cannot pickle 'generator' object" in str(raised.value)


def test_the_repr_in_the_message_is_short():
    with pytest.raises(BytewaxRuntimeError) as raised:
        _encode([["x" * 100_000, *range(100_000), lambda: 1]])
    assert len(str(raised.value)) < 1000


class Unfriendly:
    def __reduce__(self):
        raise ValueError("never")

    def __repr__(self):
        raise KeyError("no repr")


def test_a_repr_that_fails_hides_no_error():
    with pytest.raises(BytewaxRuntimeError, match="Unfriendly.*ValueError: never") as raised:
        _encode([Unfriendly()])
    assert isinstance(raised.value.__cause__, ValueError)


class Interrupting:
    def __reduce__(self):
        raise KeyboardInterrupt


def test_an_interrupt_while_pickling_passes():
    with pytest.raises(KeyboardInterrupt):
        _encode([1, Interrupting(), 2])


class Fragile:
    def __reduce__(self):
        return (fail_to_load, ())


def fail_to_load():
    raise ValueError("not here")


def test_an_item_that_cannot_be_unpickled_is_an_error_that_says_why():
    encoded = _encode([1, Fragile()])
    with pytest.raises(BytewaxRuntimeError, match="can't be unpickled here: ValueError: not here") as raised:
        _decode(encoded)
    assert isinstance(raised.value.__cause__, ValueError)


def test_a_class_that_is_not_there_is_named(monkeypatch):
    class Gone:
        pass

    Gone.__qualname__ = "Gone"
    monkeypatch.setattr(sys.modules[__name__], "Gone", Gone, raising=False)
    encoded = _encode([Gone()])
    monkeypatch.delattr(sys.modules[__name__], "Gone")
    with pytest.raises(BytewaxRuntimeError, match="AttributeError: Can't get attribute 'Gone'"):
        _decode(encoded)


@pytest.fixture
def substitute(monkeypatch):
    """Put a module in the place of a package that may be installed or not; the others of its kind are gone."""

    def substitute(name, dumps, loads=pickle.loads):
        for other in ("cloudpickle", "dill"):
            monkeypatch.setitem(sys.modules, other, None)
        module = types.ModuleType(name)
        module.dumps, module.loads = dumps, loads
        monkeypatch.setitem(sys.modules, name, module)

    return substitute


def make_answer():
    return 42


class Answering:
    """Stands for a lambda that evaluates to 42."""

    def __reduce__(self):
        return (make_answer, ())


@pytest.mark.parametrize("name", ["cloudpickle", "dill"])
def test_what_pickle_cannot_is_given_to_another_pickler(substitute, name):
    asked = []

    def dumps(value, protocol):
        asked.append(value)
        return pickle.dumps(Answering(), protocol)

    substitute(name, dumps)
    function = lambda: 1  # noqa: E731
    assert _decode(_encode([Thing(1), function, ("k", 2)])) == [Thing(1), 42, ("k", 2)]
    assert asked == [function]  # pickle had the others


def test_what_no_pickler_can_is_told_by_the_first(substitute):
    def dumps(value, protocol):
        raise OSError

    substitute("cloudpickle", dumps)
    with pytest.raises(BytewaxRuntimeError) as raised:
        _encode([lambda: 1])
    assert isinstance(raised.value.__cause__, pickle.PicklingError | AttributeError)


# --- user code that runs meanwhile ---


class Meddling:
    """Changes a container while pickle looks at it."""

    def __init__(self, change):
        self.change = change

    def __reduce__(self):
        self.change()
        return (int, ())


@pytest.mark.parametrize("native", [[1, [2], {3: 4}, "x" * 100], {"a": [1], "b": {2}}, {1, 2, 3}])
def test_containers_that_change_meanwhile_do_no_harm(native):
    items = [native, Meddling(native.clear), native]
    _decode(_encode(items))
    _decode(_encode([[*items, native]]))


def test_containers_that_other_threads_change_do_no_harm():
    items, pairs, members = [[n] for n in range(50)], {n: [n] for n in range(50)}, set(range(50))
    done = threading.Event()

    def change():
        numbers = itertools.cycle(range(100))
        while not done.is_set():
            number = next(numbers)
            items.append([number])
            items.pop(0)
            pairs[number] = [str(number)]
            pairs.pop((number + 50) % 100, None)
            members.add(number)
            members.discard((number + 50) % 100)

    threads = [threading.Thread(target=change) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200):
            try:
                [(one, two, three, _)] = _decode(_encode([(items, pairs, members, Thing(1))]))
            except BytewaxRuntimeError as ex:  # pickle minds, too
                assert "changed size during iteration" in str(ex)  # noqa: PT017
            else:
                assert (type(one), type(two), type(three)) == (list, dict, set)
    finally:
        done.set()
        for thread in threads:
            thread.join()


class Key:
    """Hashes and compares by code that runs while it comes in."""

    def __init__(self, action=None):
        self.action = action

    def __hash__(self):
        if Key.on_hash is not None:
            Key.on_hash()
        return 1

    def __eq__(self, other):
        return self is other

    on_hash = None


def test_a_key_whose_hash_fails_there_raises_its_own_error():
    encoded = _encode([{Key(): 1}])
    Key.on_hash = lambda: 1 // 0
    try:
        with pytest.raises((ZeroDivisionError, BytewaxRuntimeError)) as raised:
            _decode(encoded)
    finally:
        Key.on_hash = None
    assert isinstance(raised.value, ZeroDivisionError) or isinstance(raised.value.__cause__, ZeroDivisionError)


def test_a_decimal_of_any_context_comes_back():
    with decimal.localcontext() as context:
        context.prec = 3
        context.capitals = 0
        context.traps = dict.fromkeys(context.traps, True)
        for text in ("1.23456789E+50", "-0E-7", "sNaN"):
            number = decimal.Context().create_decimal(text)
            assert same(round_trip(number), number)


# --- bad bytes ---


def corrupt(data):
    with pytest.raises(BytewaxRuntimeError, match="protocol violated"):
        _decode(data)


def batch(values, count=1, trailer=b"\0"):
    return struct.pack("<I", count) + values + trailer


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        struct.pack("<I", 0),  # no trailer
        batch(b"", 0, b"\x02"),
        batch(b"", 0, b"\x01"),
        batch(b"", 0, struct.pack("<Q", 1) + b"\x01"),  # a pickle longer than the batch
        batch(b"", 0, struct.pack("<Q", 2**64 - 1) + b"\x01"),
        batch(b"", 1),  # too few items
        batch(b"\x80\x80", 1),  # too many
        batch(b"\x9a"),  # no such tags
        batch(b"\xa8"),
        batch(b"\xff"),
        batch(b"\x01"),  # cut off
        batch(b"\x01\xff"),  # not ASCII
        batch(b"\x08abcdefg\x80"),
        batch(b"\x84\x01"),
        batch(b"\x87\x00"),  # an int of no bytes
        batch(b"\x88\0\0\0\0"),
        batch(b"\x89\x05abcd"),
        batch(b"\x89\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),  # sizes beyond all bounds
        batch(b"\x89\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        batch(b"\x8b\x80\x80\x80\x80\x10"),
        batch(b"\x8a\x01\xff"),  # no UTF-8
        batch(b"\x8a\x04\xf5\x80\x80\x80"),
        batch(b"\x8c\x05\x80\x80"),
        batch(b"\x8d\x01\x80"),
        batch(b"\x8d\x01\x8c\x00\x80"),  # a key that has no hash
        batch(b"\x8e\x01\x8c\x00"),
        batch(b"\x90\xff\xff\xff\x7f"),
        batch(b"\x91\0\0\x01\x01"),  # no such days
        batch(b"\x91\xe8\x07\x0d\x01"),
        batch(b"\x92\x04\xe8\x07\x01\x01\0\0\0\0\0\0\0"),
        batch(b"\x92\0\xe8\x07\x01\x01\x18\0\0\0\0\0\0"),
        batch(b"\x92\0\xe8\x07\x01\x01\0\0\0\xff\xff\xff\xff"),
        batch(b"\x93" + struct.pack("<iII", 10**9, 0, 0)),
        batch(b"\x93" + struct.pack("<iII", 0, 86400, 0)),
        batch(b"\x94\x03abc"),  # no number
        batch(b"\x95" + b"\0" * 15),
        batch(b"\x96"),  # nothing was pickled
        batch(b"\x97\x03\x00"),
        batch(b"\x97\x00\x7fxx"),
        batch(b"\x8c\x80\x80\x40" * 150 + b"\x80" * 2**20),  # lists that each claim all that is left
        batch(b"\x8c\x03\x05abcde\x8c\x00"),
        batch(b"\x8c\x01" * 100_000 + b"\x80"),  # too deep
        batch(b"\xa1" * 100_000 + b"\x80"),
    ],
    ids=lambda data: data[COUNT_BYTES:20].hex(),
)
def test_bytes_that_nobody_writes_are_corrupt(data):
    corrupt(data)


def test_a_pickle_that_is_no_list_or_not_used_up_is_corrupt():
    for value, body in ((1, b"\x96"), ((1,), b"\x96"), ([], b"\x96"), ([1, 2], b"\x96")):
        pickled = pickle.dumps(value, 5)
        corrupt(batch(body, 1, pickled + struct.pack("<Q", len(pickled)) + b"\x01"))


def test_nothing_is_unpickled_when_loads_is_given():
    seen = []

    def loads(view):
        seen.append(bytes(view))
        return ["stand-in"]

    encoded = _encode(("k", Thing(i)) for i in (1,))  # tuples that nobody else holds: only the things are pickled
    assert _decode(encoded, loads=loads) == [("k", "stand-in")]
    [data] = seen
    assert pickle.loads(data) == [Thing(1)]


def test_the_view_that_loads_is_given_ends_with_the_call():
    kept = []

    def loads(view):
        kept.append(view)
        return [1]

    _decode(_encode([Thing(1)]), loads=loads)
    with pytest.raises(ValueError, match="released"):
        bytes(kept[0])


@pytest.mark.parametrize("item", [("key", [1, {2: (3.5, None)}]), "é" * 20, decimal.Decimal("1.5"), b"x" * 70, {1, 2}])
def test_every_truncation_is_corrupt_or_another_value(item):
    encoded = _encode([item])
    for size in range(len(encoded)):
        for end in (b"", b"\0"):
            try:
                _decode(encoded[:size] + end)
            except BytewaxRuntimeError as ex:
                assert "protocol violated" in str(ex)  # noqa: PT017
            else:
                assert size + len(end) == len(encoded)


# --- nothing stays behind ---


class Tracked:
    alive = 0

    def __init__(self):
        type(self).alive += 1

    def __setstate__(self, state):
        type(self).alive += 1

    def __reduce__(self):
        return (Tracked, ())

    def __del__(self):
        type(self).alive -= 1


def leaks(once):
    """Tell whether the interpreter grows by a memory block or more each time."""
    for _ in range(3):
        once()
    for repetitions in (40, 200, 800):  # free lists and caches fill once
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(repetitions):
            once()
        gc.collect()
        if sys.getallocatedblocks() - before < 0.75 * repetitions:
            return False
    return True


def failing(function, *args, **kwargs):
    with pytest.raises((BytewaxRuntimeError, KeyboardInterrupt, ZeroDivisionError)):
        function(*args, **kwargs)


def cyclic():
    item = ([1, 2], "text" * 10)
    item[0].append(item)
    return item


ONCE = {
    "native": lambda: _decode(_encode(NATIVE)),
    "pickled": lambda: _decode(_encode([*PICKLED, *SUBCLASSES, (Tracked(), [Tracked()])])),
    "shared": lambda: _decode(_encode([cyclic(), [NATIVE, NATIVE]])),
    "keyed": lambda: _decode(_encode([(f"k{i}", [i]) for i in range(99)], shape="keyed"), shape="keyed"),
    "unpicklable": lambda: failing(_encode, [*NATIVE, Tracked(), ("k", [Tracked(), lambda: 1])]),
    "interrupted": lambda: failing(_encode, [*NATIVE, Tracked(), ("k", Interrupting())]),
    "not unpicklable": lambda: failing(_decode, _encode([("k", [1, Tracked()]), Fragile()])),
    "corrupt": lambda: failing(_decode, _encode([*NATIVE, ("k", Tracked())])[:-10] + b"\0"),
    "corrupt key": lambda: failing(_decode, _encode([("a", "\ud800"), ("b", [1])], shape="keyed"), shape="part"),
    "truncated": lambda: [failing(_decode, TRUNCATED[:size] + b"\0") for size in range(4, len(TRUNCATED) - 1, 3)],
}
TRUNCATED = _encode([("key", [1, {2: (3.5, None), "k": {1, "a"}}], frozenset(["b"]), uuid.UUID(int=4), 2**99)])


@pytest.mark.parametrize("name", ONCE)
def test_nothing_stays_behind(name):
    assert not leaks(ONCE[name])
    gc.collect()
    assert Tracked.alive == 0


def test_references_are_left_alone():
    items = [("key", 10**6), [10**7], "text" * 50, Thing(1), {"a": 10**8}, {10**9}]
    before = list(map(sys.getrefcount, items))
    _decode(_encode(items))
    assert list(map(sys.getrefcount, items)) == before


# --- imports ---

LAZY = """
    import sys
    from bytewax._engine import _decode, _encode

    lazy = {"pickle", "decimal", "uuid", "cloudpickle", "dill"}
    lazy -= set(sys.modules)
    assert "decimal" in lazy
    assert _decode(_encode([(1, "a", 2.5, b"b", None, [True], {1: 2})])) == [(1, "a", 2.5, b"b", None, [True], {1: 2})]
    assert not lazy & set(sys.modules)
"""


def test_nothing_is_imported_for_what_is_built_in():
    root = Path(__file__).resolve().parent.parent.parent
    subprocess.run([sys.executable, "-c", textwrap.dedent(LAZY)], check=True, cwd=root, env=os.environ)
