#include "attribute.h"
#include "native_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "native_object.h"

int
bw_file_error(int error_number, PyObject *name)
{
    errno = error_number;
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, name);
    return -1;
}

/// Copies what a subclass of str or bytes says: a name of ours refers to no object but itself.
static PyObject *
exact_name(PyObject *path)
{
    PyObject *name = PyOS_FSPath(path);
    if (name == NULL) return NULL;
    PyObject *exact = PyUnicode_Check(name) ? PyUnicode_FromObject(name) : PyBytes_FromObject(name);
    Py_DECREF(name);
    return exact;
}

/// open(2), again and again while signals interrupt it. Opening a pipe may block.
static int
open_descriptor(PyObject *name, int flags)
{
    PyObject *encoded;
    if (!PyUnicode_FSConverter(name, &encoded)) return -1;
    int descriptor;
    for (;;) {
        int error_number;
        Py_BEGIN_ALLOW_THREADS
        descriptor = open(PyBytes_AS_STRING(encoded), flags, 0666);
        error_number = errno;
        Py_END_ALLOW_THREADS
        if (descriptor >= 0) break;
        if (error_number != EINTR) {
            bw_file_error(error_number, name);
            break;
        }
        if (PyErr_CheckSignals() < 0) break;
    }
    Py_DECREF(encoded);
    return descriptor;
}

int
bw_file_open(PyObject *path, bool append, PyObject **out_name, struct stat *out_status)
{
    PyObject *name = exact_name(path);
    if (name == NULL) return -1;
    const char *mode = append ? "a" : "r";  // for audit hooks
    const int flags = append ? O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC : O_RDONLY | O_CLOEXEC;
    if (PySys_Audit("open", "Osi", name, mode, flags) < 0) goto drop_name;
    int descriptor = open_descriptor(name, flags);
    if (descriptor < 0) goto drop_name;
    if (fstat(descriptor, out_status) < 0) {
        bw_file_error(errno, name);
        goto close_descriptor;
    }
    if (S_ISDIR(out_status->st_mode)) {  // Linux opens one for reading, and only then refuses to read it
        bw_file_error(EISDIR, name);
        goto close_descriptor;
    }
    *out_name = name;
    return descriptor;

close_descriptor:
    close(descriptor);
drop_name:
    Py_DECREF(name);
    return -1;
}

static PyObject *
import_attribute(const char *module_name, const char *attribute)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL) return NULL;
    PyObject *value = bw_attribute(module, attribute);
    Py_DECREF(module);
    return value;
}

/// The codec's own name for itself.
static PyObject *
codec_name(PyObject *encoding)
{
    PyObject *lookup = import_attribute("codecs", "lookup");
    if (lookup == NULL) return NULL;
    PyObject *codec = PyObject_CallOneArg(lookup, encoding);
    Py_DECREF(lookup);
    if (codec == NULL) return NULL;
    PyObject *name = bw_attribute(codec, "name");
    Py_DECREF(codec);
    if (name != NULL && !PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "the name of codec %R must be a str; got %R", encoding, name);
        Py_CLEAR(name);
    }
    return name;
}

PyObject *
bw_file_encoding(void)
{
    // Of all that the versions offer, this one alone heeds the UTF-8 mode and exists in each of them.
    PyObject *preferred = import_attribute("locale", "getpreferredencoding");
    if (preferred == NULL) return NULL;
    PyObject *encoding = PyObject_CallOneArg(preferred, Py_False);
    Py_DECREF(preferred);
    if (encoding == NULL) return NULL;
    PyObject *name = codec_name(encoding);
    Py_DECREF(encoding);
    return name;
}
