"""Random items through the codec: equal ones of the same types come back, shared as they were; bad bytes do no harm."""

import datetime as dt
import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bytewax._engine import BytewaxRuntimeError, _decode, _encode

COUNT_BYTES = 4  # what _encode() puts before the batch

common = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.one_of(
    st.text(alphabet=st.characters(max_codepoint=127)),
    st.text(),
    st.text(alphabet=st.characters(categories=["Cs", "L"])),  # lone surrogates
)
integers = st.one_of(st.integers(-200, 200), st.integers(-(2**64), 2**64), st.integers())
zones = st.sampled_from([None, dt.timezone.utc, dt.timezone(dt.timedelta(hours=5))])
hashable_leaves = st.one_of(
    st.none(),
    st.booleans(),
    integers,
    st.floats(allow_nan=False),
    texts,
    st.binary(),
    st.dates(),
    st.datetimes(timezones=zones),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.complex_numbers(allow_nan=False),
)
leaves = st.one_of(
    hashable_leaves,
    st.floats(),
    st.decimals(),
    st.binary().map(bytearray),
    st.builds(range, st.integers(0, 5)),
)
hashables = st.recursive(
    hashable_leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4).map(tuple), st.frozensets(inner, max_size=4)),
    max_leaves=5,
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.lists(inner, max_size=6).map(tuple),
        st.dictionaries(hashables, inner, max_size=5),
        st.sets(hashables, max_size=5),
    ),
    max_leaves=12,
)


def describe(value, met=None):
    """Say all about a value: types, contents, order, and which containers are the same object."""
    met = {} if met is None else met
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, struct.pack("<d", value)
    if isinstance(value, set | frozenset):
        return kind, sorted(repr(describe(member)) for member in value)
    if not isinstance(value, list | tuple | dict):
        return kind, repr(value)
    if value != () and id(value) in met:
        return "again", met[id(value)]
    met[id(value)] = len(met)
    parts = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
    return kind, [describe(part, met) for part in parts]


def unshared(value):
    """Copy a value so that no container in it is met twice: hypothesis may give one object several times."""
    if isinstance(value, list | tuple):
        return type(value)([unshared(part) for part in value])
    if isinstance(value, dict):
        return {key: unshared(part) for key, part in value.items()}
    return value


@common
@given(items=st.lists(values, max_size=6))
def test_equal_items_of_the_same_types_come_back(items):
    back = _decode(_encode(items))
    assert [describe(unshared(item)) for item in back] == [describe(unshared(item)) for item in items]


@common
@given(items=st.lists(values, max_size=6))
def test_it_makes_no_difference_whether_others_hold_the_items(items):
    back = _decode(_encode(unshared(item) for item in items))
    assert [describe(unshared(item)) for item in back] == [describe(unshared(item)) for item in items]


@common
@given(rows=st.lists(st.tuples(st.integers(0, 2**64 - 1), st.text(), values), max_size=6))
def test_keys_come_back_with_their_values(rows):
    assert describe(unshared(_decode(_encode(rows, shape="part"), shape="part"))) == describe(unshared(rows))
    keyed = _decode(_encode([row[1:] for row in rows], shape="keyed"), shape="keyed")
    assert describe(unshared([(key, value) for key, _, value in keyed])) == describe(
        unshared([row[1:] for row in rows])
    )


@st.composite
def graphs(draw):
    """Draw an item of containers that refer to each other at random: shared, and in cycles."""
    count = draw(st.integers(1, 8))
    kinds = draw(st.lists(st.sampled_from(["list", "dict", "tuple"]), min_size=count, max_size=count))
    nodes = [{} if kind == "dict" else [] for kind in kinds]
    references = st.integers(0, count - 1)
    for node, kind in zip(nodes, kinds, strict=True):
        for part, number in draw(
            st.lists(st.tuples(st.one_of(references.map(lambda i: ("node", i)), leaves), integers), max_size=4)
        ):
            child = nodes[part[1]] if isinstance(part, tuple) and part[:1] == ("node",) else part
            if kind == "tuple":
                child = (child, number)
            if isinstance(node, dict):
                node[number] = child
            else:
                node.append(child)
    return tuple(nodes) if draw(st.booleans()) else nodes[0]


@common
@given(items=st.lists(graphs(), min_size=1, max_size=5))
def test_sharing_and_cycles_within_an_item_survive(items):
    back = _decode(_encode(items))
    # Immutable ones need not stay shared, and leaves of one value may become one object: compare what can be told apart.
    assert [shape_of_mutable(item) for item in back] == [shape_of_mutable(item) for item in items]


def shape_of_mutable(value, met=None):
    met = {} if met is None else met
    if isinstance(value, list | dict):
        if id(value) in met:
            return "again", met[id(value)]
        met[id(value)] = len(met)
    elif not isinstance(value, tuple):
        return describe(value)
    parts = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
    return type(value).__name__, [shape_of_mutable(part, met) for part in parts]


def refuse(view):
    """Stand in for pickle.loads(): bytes at random may be a pickle that does anything."""
    return [None] * (len(view) % 5)


@common
@given(
    items=st.lists(values, min_size=1, max_size=5), data=st.data(), shape=st.sampled_from(["plain", "keyed", "part"])
)
def test_mutated_bytes_are_refused_or_decoded(items, data, shape):
    encoded = bytearray(_encode(items))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(COUNT_BYTES, len(encoded) - 1))
        match data.draw(st.sampled_from(["set", "cut", "insert"])):
            case "set":
                encoded[at] = data.draw(st.integers(0, 255))
            case "cut":
                del encoded[at : at + data.draw(st.integers(1, 9))]
            case "insert":
                encoded[at:at] = data.draw(st.binary(max_size=12))
        if len(encoded) <= COUNT_BYTES:
            return
    read(bytes(encoded), shape)


@common
@given(body=st.binary(max_size=200), count=st.integers(0, 50), shape=st.sampled_from(["plain", "keyed", "part"]))
def test_bytes_at_random_are_refused_or_decoded(body, count, shape):
    read(struct.pack("<I", count) + body + b"\0", shape)


def read(encoded, shape):
    try:
        items = _decode(encoded, shape=shape, loads=refuse)
    except BytewaxRuntimeError as ex:
        assert "protocol violated" in str(ex)  # noqa: PT017
        return
    if shape == "plain":  # what can be read can be written again
        assert len(_decode(_encode(items))) == len(items)
    for item in items:
        repr(item)  # walks over all of it
