// compat.h - the only place that knows how CPython's versions differ (3.10 to 3.13, free-threaded 3.13).
#ifndef BW_BINDING_COMPAT_H
#define BW_BINDING_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>

#if PY_VERSION_HEX < 0x030d0000
#define Py_BEGIN_CRITICAL_SECTION(op) {
#define Py_END_CRITICAL_SECTION() }
#define Py_IsFinalizing() _Py_IsFinalizing()

/// New reference to list[index], or NULL and IndexError.
static inline PyObject *
PyList_GetItemRef(PyObject *list, Py_ssize_t index)
{
    PyObject *item = PyList_GetItem(list, index);
    return item == NULL ? NULL : Py_NewRef(item);
}
#endif

// How long a worker works before it lets others have the interpreter. Longer than sys.getswitchinterval(),
// 5 ms: CPython hears who waits only after that long without a wake-up; let go sooner, it wakes them for
// nothing, and they starve.
#define BW_BREATH_NS 8000000u

/// Lets go of the interpreter, for whoever waits for it.
static inline void
bw_breathe(void)
{
    PyThreadState *thread_state = PyEval_SaveThread();
    PyEval_RestoreThread(thread_state);
}

/// Copies at most `limit` items from `start` on as new references; how many there were. The list may
/// shrink and grow meanwhile.
static inline Py_ssize_t
bw_list_copy(PyObject *list, Py_ssize_t start, PyObject **out, Py_ssize_t limit)
{
    Py_ssize_t count = 0;
#ifdef Py_GIL_DISABLED
    PyObject *item;
    while (count < limit && (item = PyList_GetItemRef(list, start + count)) != NULL) {
        out[count++] = item;
    }
    if (count < limit) PyErr_Clear();  // IndexError: that was all
#else
    for (; count < limit && start + count < PyList_GET_SIZE(list); count++) {
        out[count] = Py_NewRef(PyList_GET_ITEM(list, start + count));
    }
#endif
    return count;
}

/// True if nobody but the caller can reach `op`, so that it may be changed in place.
static inline int
bw_is_unique(PyObject *op)
{
#ifdef Py_GIL_DISABLED
    // Both counts, and the owner: another thread may hold a reference that only the shared one shows.
    return _Py_IsOwnedByCurrentThread(op) && op->ob_ref_local == 1 &&
           _Py_atomic_load_ssize_relaxed(&op->ob_ref_shared) == 0;
#else
    return Py_REFCNT(op) == 1;
#endif
}

// ---- ints

/// The number, if `*overflow` becomes 0.
static inline long long
bw_long_as_longlong(PyObject *number, int *overflow)
{
#if PY_VERSION_HEX >= 0x030c0000
    if (PyUnstable_Long_IsCompact((PyLongObject *)number)) {
        *overflow = 0;
        return PyUnstable_Long_CompactValue((PyLongObject *)number);
    }
#endif
    return PyLong_AsLongLongAndOverflow(number, overflow);
}

#if PY_VERSION_HEX >= 0x030d0000
/// How many bytes hold it in two's complement; SIZE_MAX with an exception.
static inline size_t
bw_long_size(PyObject *number)
{
    return (size_t)PyLong_AsNativeBytes(number, NULL, 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
}

/// Fills `size` bytes, the lowest first. 0, or -1 with an exception: it doesn't fit.
static inline int
bw_long_to_bytes(PyObject *number, uint8_t *out, size_t size, int is_signed)
{
    int flags = Py_ASNATIVEBYTES_LITTLE_ENDIAN;
    if (!is_signed) flags |= Py_ASNATIVEBYTES_UNSIGNED_BUFFER | Py_ASNATIVEBYTES_REJECT_NEGATIVE;
    Py_ssize_t needed = PyLong_AsNativeBytes(number, out, (Py_ssize_t)size, flags);
    if (needed >= 0 && (size_t)needed <= size) return 0;
    if (needed >= 0) PyErr_SetString(PyExc_OverflowError, "int too big to convert");
    return -1;
}

/// The int in so many bytes: new reference.
static inline PyObject *
bw_long_from_bytes(const uint8_t *bytes, size_t size, int is_signed)
{
    int flags = Py_ASNATIVEBYTES_LITTLE_ENDIAN;
    return is_signed ? PyLong_FromNativeBytes(bytes, size, flags)
                     : PyLong_FromUnsignedNativeBytes(bytes, size, flags);
}
#else
static inline size_t
bw_long_size(PyObject *number)
{
    size_t bits = _PyLong_NumBits(number);
    return bits == (size_t)-1 ? bits : bits / 8 + 1;
}

static inline int
bw_long_to_bytes(PyObject *number, uint8_t *out, size_t size, int is_signed)
{
    return _PyLong_AsByteArray((PyLongObject *)number, out, size, 1, is_signed);
}

static inline PyObject *
bw_long_from_bytes(const uint8_t *bytes, size_t size, int is_signed)
{
    return _PyLong_FromByteArray(bytes, size, 1, is_signed);
}
#endif

#if PY_VERSION_HEX < 0x030c0000
/// Takes the pending exception, with its traceback attached; NULL if there is none. As in 3.12.
static inline PyObject *
PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL) return NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
}

/// Makes `exception` (a reference that is taken over) the pending one. As in 3.12.
static inline void
PyErr_SetRaisedException(PyObject *exception)
{
    PyObject *type = Py_NewRef((PyObject *)Py_TYPE(exception));
    PyErr_Restore(type, exception, PyException_GetTraceback(exception));
}
#endif

#endif
