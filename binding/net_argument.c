#include "net_argument.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

// Of all processes: what a board and a graph of so many are made for.
#define MOST_WORKERS 65536

#define MOST_SECONDS 1e9

/// Borrowed from the dict, or NULL with KeyError.
static PyObject *
field(PyObject *dict, const char *name)
{
    PyObject *value = PyDict_GetItemString(dict, name);
    if (value == NULL) PyErr_Format(PyExc_KeyError, "net has no '%s'", name);
    return value;
}

/// UTF-8 of a str that ends at its first zero, kept by `strings`; NULL with an exception.
static const char *
text(bw_net_argument *argument, PyObject *value, const char *name)
{
    if (!PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "'%s' of net must be str; got %R", name, value);
        return NULL;
    }
    Py_ssize_t size;
    const char *bytes = PyUnicode_AsUTF8AndSize(value, &size);
    if (bytes == NULL || PyList_Append(argument->strings, value) != 0) return NULL;
    if (strlen(bytes) == (size_t)size) return bytes;
    PyErr_Format(PyExc_ValueError, "'%s' of net has a null character in it: %R", name, value);
    return NULL;
}

static int
read_number(PyObject *dict, const char *name, long least, long most, long *out)
{
    PyObject *value = field(dict, name);
    if (value == NULL) return -1;
    *out = PyLong_AsLong(value);
    if (*out == -1 && PyErr_Occurred()) return -1;
    if (*out >= least && *out <= most) return 0;
    PyErr_Format(PyExc_ValueError, "'%s' of net must be from %ld to %ld; got %R", name, least, most,
                 value);
    return -1;
}

/// Seconds as nanoseconds.
static int
read_time(PyObject *dict, const char *name, bool zero, uint64_t *out)
{
    PyObject *value = field(dict, name);
    if (value == NULL) return -1;
    double seconds = PyFloat_AsDouble(value);
    if (seconds == -1 && PyErr_Occurred()) return -1;
    // Written so that NaN fails.
    if ((zero ? seconds >= 0 : seconds > 0) && seconds <= MOST_SECONDS) {
        *out = (uint64_t)(seconds * (double)BW_NS_PER_S);
        if (*out == 0 && seconds > 0) *out = 1;
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "'%s' of net must be a number of seconds, %s; got %R", name,
                 zero ? "0 or more" : "more than 0", value);
    return -1;
}

static int
read_addresses(bw_net_argument *out, PyObject *dict)
{
    PyObject *given = field(dict, "addresses");
    if (given == NULL) return -1;
    PyObject *addresses = PySequence_Tuple(given);
    if (addresses == NULL) return -1;
    Py_ssize_t count = PyTuple_GET_SIZE(addresses);
    int error = -1;
    if (count == 0 || count > MOST_WORKERS) {
        PyErr_Format(PyExc_ValueError, "net must have from 1 to %d addresses; got %zd", MOST_WORKERS,
                     count);
        goto done;
    }
    out->addresses = calloc((size_t)count, sizeof *out->addresses);
    if (out->addresses == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        out->addresses[i] = text(out, PyTuple_GET_ITEM(addresses, i), "addresses");
        if (out->addresses[i] == NULL) goto done;
    }
    out->settings.addresses = out->addresses;
    out->settings.process_count = (uint32_t)count;
    error = 0;

done:
    Py_DECREF(addresses);
    return error;
}

static int
read_secret(bw_net_argument *out, PyObject *dict)
{
    PyObject *secret = field(dict, "secret");
    if (secret == NULL) return -1;
    if (!PyBytes_Check(secret)) {  // no repr: nobody is to see a secret
        PyErr_Format(PyExc_TypeError, "'secret' of net must be bytes, not %.100s",
                     Py_TYPE(secret)->tp_name);
        return -1;
    }
    out->settings.secret = (const uint8_t *)PyBytes_AS_STRING(secret);
    out->settings.secret_size = (size_t)PyBytes_GET_SIZE(secret);
    return PyList_Append(out->strings, secret);
}

static int
read_tls(bw_net_argument *out, PyObject *dict)
{
    PyObject *tls = field(dict, "tls");
    if (tls == NULL) return -1;
    if (tls == Py_None) return 0;
    if (!PyTuple_CheckExact(tls) || PyTuple_GET_SIZE(tls) != 3) {
        PyErr_Format(PyExc_TypeError, "'tls' of net must be None or (cert, key, ca); got %R", tls);
        return -1;
    }
    out->settings.tls_cert = text(out, PyTuple_GET_ITEM(tls, 0), "tls");
    if (out->settings.tls_cert == NULL) return -1;
    out->settings.tls_key = text(out, PyTuple_GET_ITEM(tls, 1), "tls");
    if (out->settings.tls_key == NULL) return -1;
    out->settings.tls_ca = text(out, PyTuple_GET_ITEM(tls, 2), "tls");
    return out->settings.tls_ca == NULL ? -1 : 0;
}

static int
read_all(bw_net_argument *out, PyObject *dict, uint32_t worker_count)
{
    long process_index;
    out->settings.workers_per_process = worker_count;
    if (read_addresses(out, dict) != 0) return -1;
    if (read_number(dict, "process_id", 0, (long)out->settings.process_count - 1, &process_index) != 0) {
        return -1;
    }
    out->settings.process_index = (uint32_t)process_index;
    if (read_secret(out, dict) != 0 || read_tls(out, dict) != 0) return -1;
    if (read_time(dict, "connect_timeout", true, &out->settings.connect_timeout_ns) != 0) return -1;
    if (read_time(dict, "timeout", false, &out->settings.silence_timeout_ns) != 0) return -1;
    if ((uint64_t)worker_count * out->settings.process_count <= MOST_WORKERS) return 0;
    PyErr_Format(PyExc_ValueError, "a cluster has at most %d workers; got %u processes of %u workers",
                 MOST_WORKERS, (unsigned int)out->settings.process_count, (unsigned int)worker_count);
    return -1;
}

int
bw_net_argument_init(bw_net_argument *out, PyObject *dict, uint32_t worker_count)
{
    out->settings.listen_fd = -1;
    if (!PyDict_Check(dict)) {
        PyErr_Format(PyExc_TypeError, "net must be None or a dict; got %R", dict);
        return -1;
    }
    out->strings = PyList_New(0);
    long listen_fd;
    if (out->strings == NULL) return -1;
    if (read_number(dict, "listen_fd", -1, INT_MAX, &listen_fd) != 0) return -1;
    out->settings.listen_fd = (int)listen_fd;
    return read_all(out, dict, worker_count);
}

void
bw_net_argument_fini(bw_net_argument *argument)
{
    if (argument->strings == NULL) return;  // nothing was read
    if (argument->settings.listen_fd >= 0) close(argument->settings.listen_fd);
    argument->settings.listen_fd = -1;
    Py_CLEAR(argument->strings);
    free((void *)argument->addresses);
    argument->addresses = NULL;
}
