// Keyed state of the fluent API: reduce and stateful_map, one value at a time.
#include "stage.h"

#include "key.h"
#include "raise.h"

/// Where an entry keeps its state, a reference that it owns.
static PyObject **
state_of(bw_entry *entry)
{
    return bw_entry_slot(entry);
}

/// Adds a key with its state, a reference that is taken over also on failure.
static bw_entry *
insert(bw_stage *stage, PyObject *key, bw_bytes bytes, uint64_t hash, PyObject *state)
{
    PyObject *plain = bw_key_plain(key);
    bw_entry *entry = NULL;
    bw_status status = BW_EHOST;
    // The copy of a subclass has its own bytes, which live as long as it does.
    if (plain != NULL && (plain == key || bw_key_bytes(plain, &bytes) == 0)) {
        status = bw_table_insert(&stage->table, plain, bytes, hash, &entry);
    }
    if (status == BW_OK) {
        *state_of(entry) = state;
        return entry;
    }
    bw_raise_status(stage->plan->state, status, NULL, stage->label);
    Py_XDECREF(plain);
    Py_DECREF(state);
    return NULL;
}

static void
forget(bw_stage *stage, bw_entry *entry)
{
    PyObject *key = entry->key, *state = *state_of(entry);
    bw_table_remove(&stage->table, entry);
    bw_table_trim(&stage->table);
    Py_XDECREF(state);  // last: a finalizer may run
    Py_DECREF(key);
}

/// Puts a state (a reference, taken over) in the place of an entry's old one.
static void
replace(bw_entry *entry, PyObject *state)
{
    PyObject *old = *state_of(entry);
    *state_of(entry) = state;
    Py_XDECREF(old);
}

/// Makes `(key, result[1])` of a pair that user code returned (a reference, taken over): in place, if
/// nobody else can see it.
static PyObject *
rekey(PyObject *result, PyObject *plain)
{
    if (PyTuple_CheckExact(result) && bw_is_unique(result)) {
        PyObject *state = PyTuple_GET_ITEM(result, 0);
        PyTuple_SET_ITEM(result, 0, Py_NewRef(plain));
        Py_DECREF(state);
        return result;
    }
    PyObject *pair = PyTuple_Pack(2, plain, PyTuple_GET_ITEM(result, 1));
    Py_DECREF(result);
    return pair;
}

/// Stores the state that a mapper returned; None discards. New reference: the key as a plain str.
static PyObject *
store(bw_stage *stage, bw_entry *entry, PyObject *key, bw_bytes bytes, uint64_t hash, PyObject *state)
{
    if (state == Py_None) {
        PyObject *plain = bw_key_plain(entry != NULL ? (PyObject *)entry->key : key);
        if (entry != NULL) forget(stage, entry);
        return plain;
    }
    if (entry == NULL) {
        entry = insert(stage, key, bytes, hash, Py_NewRef(state));
        if (entry == NULL) return NULL;
    } else if (*state_of(entry) != state) {
        replace(entry, Py_NewRef(state));
    }
    return Py_NewRef((PyObject *)entry->key);
}

static bw_outcome
stateful_map(bw_stage *stage, PyObject *key, bw_bytes bytes, uint64_t hash, PyObject *value,
             PyObject **out)
{
    bw_entry *entry = bw_table_find(&stage->table, bytes.data, bytes.size, hash);
    PyObject *built = NULL;
    if (entry == NULL) {
        built = PyObject_CallNoArgs(stage->spec->first);
        if (built == NULL) {
            bw_raise_user(stage->plan->state, "error calling `stateful_map` builder", stage->label);
            return BW_FAILED;
        }
    }
    PyObject *state = entry == NULL ? built : *state_of(entry);
    PyObject *result = bw_call2(stage->spec->second, state, value);
    Py_XDECREF(built);
    if (result == NULL) {
        bw_raise_user(stage->plan->state, "error calling `stateful_map` mapper", stage->label);
        return BW_FAILED;
    }
    if (!PyTuple_Check(result) || PyTuple_GET_SIZE(result) != 2) {
        bw_raise_about(PyExc_TypeError,
                       "return value of `mapper` in stateful map operator must be a 2-tuple of "
                       "`(updated_state, updated_value)`; got `%U` instead in step %R",
                       result, stage->label);
        Py_DECREF(result);
        return BW_FAILED;
    }
    PyObject *plain = store(stage, entry, key, bytes, hash, PyTuple_GET_ITEM(result, 0));
    if (plain == NULL) {
        Py_DECREF(result);
        return BW_FAILED;
    }
    *out = rekey(result, plain);
    Py_DECREF(plain);
    return *out == NULL ? BW_FAILED : BW_GOES_ON;
}

/// Asks `is_complete`. 1, 0, or -1 with an exception.
static int
is_complete(bw_stage *stage, PyObject *accumulator)
{
    PyObject *answer = bw_call1(stage->spec->second, accumulator);
    if (answer == NULL) {
        bw_note_user(stage->label);
        return -1;
    }
    int complete = answer == Py_True ? 1 : answer == Py_False ? 0 : -1;
    if (complete < 0) {
        bw_raise_about(PyExc_TypeError,
                       "return value of `is_complete` in reduce operator must be a bool; got `%U` "
                       "instead in step %R",
                       answer, stage->label);
    }
    Py_DECREF(answer);
    return complete;
}

static bw_outcome
reduce(bw_stage *stage, PyObject *key, bw_bytes bytes, uint64_t hash, PyObject *value, PyObject **out)
{
    bw_entry *entry = bw_table_find(&stage->table, bytes.data, bytes.size, hash);
    PyObject *accumulator;  // owned
    if (entry == NULL) {
        accumulator = Py_NewRef(value);
    } else {
        accumulator = bw_call2(stage->spec->first, *state_of(entry), value);
        if (accumulator == NULL) {
            bw_raise_user(stage->plan->state, "error calling reducer", stage->label);
            return BW_FAILED;
        }
    }
    int complete = is_complete(stage, accumulator);
    if (complete == 0) {
        if (entry != NULL) {
            replace(entry, accumulator);
            return BW_DROPPED;
        }
        return insert(stage, key, bytes, hash, accumulator) == NULL ? BW_FAILED : BW_DROPPED;
    }
    if (complete > 0) {
        PyObject *plain = bw_key_plain(key);
        if (plain != NULL) *out = PyTuple_Pack(2, plain, accumulator);
        complete = plain == NULL || *out == NULL ? -1 : 1;
        Py_XDECREF(plain);
        if (entry != NULL) forget(stage, entry);
    }
    Py_DECREF(accumulator);
    return complete > 0 ? BW_GOES_ON : BW_FAILED;
}

bw_outcome
bw_stage_on_value(bw_stage *stage, PyObject *key, bw_bytes bytes, uint64_t hash, PyObject *value,
                  PyObject **out)
{
    if (stage->kind == BW_STAGE_STATEFUL_MAP) {
        return stateful_map(stage, key, bytes, hash, value, out);
    }
    return reduce(stage, key, bytes, hash, value, out);
}

void
bw_stage_drop_state(bw_stage *stage)
{
    uint32_t position = 0;
    bw_entry *entry;
    while ((entry = bw_table_next(&stage->table, &position)) != NULL) {
        Py_DECREF((PyObject *)entry->key);
        Py_XDECREF(*state_of(entry));
    }
    bw_table_fini(&stage->table);
}
