#include "signals.h"

#include <errno.h>
#include <unistd.h>

#include "attribute.h"

/// signal.set_wakeup_fd(fd), without the classes that the module around it makes: the previous one, or -2 with an exception.
static int
set_wakeup_fd(int fd)
{
    PyObject *module = PyImport_ImportModule("_signal");
    if (module == NULL) return -2;
    PyObject *function = bw_attribute(module, "set_wakeup_fd");
    Py_DECREF(module);
    if (function == NULL) return -2;
    PyObject *args = Py_BuildValue("(i)", fd);
    PyObject *kwargs = Py_BuildValue("{s:O}", "warn_on_full_buffer", Py_False);
    PyObject *previous = NULL;
    if (args != NULL && kwargs != NULL) previous = PyObject_Call(function, args, kwargs);
    Py_DECREF(function);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    if (previous == NULL) return -2;
    int result = (int)PyLong_AsLong(previous);
    Py_DECREF(previous);
    return PyErr_Occurred() ? -2 : result;
}

int
bw_signals_install(bw_signals *signals, int wake_fd)
{
    signals->installed = false;
    int previous = set_wakeup_fd(wake_fd);
    if (previous == -2) {
        // Only the main thread of the main interpreter may; elsewhere no signal comes anyway.
        if (!PyErr_ExceptionMatches(PyExc_ValueError)) return -1;
        PyErr_Clear();
        return 0;
    }
    signals->installed = true;
    signals->previous_fd = previous;
    return 0;
}

void
bw_signals_restore(const bw_signals *signals)
{
    if (!signals->installed) return;
    PyObject *pending = PyErr_GetRaisedException();
    // A descriptor that was closed meanwhile is refused: then there is none.
    if (set_wakeup_fd(signals->previous_fd) == -2) {
        PyErr_Clear();
        set_wakeup_fd(-1);
        PyErr_Clear();
    }
    if (pending != NULL) PyErr_SetRaisedException(pending);
}

int
bw_signals_check(const bw_signals *signals, const uint8_t *numbers, uint32_t count)
{
    if (signals->installed && signals->previous_fd >= 0 && count > 0) {
        ssize_t written = write(signals->previous_fd, numbers, count);
        (void)written;  // its owner's pipe is full: it will wake as well
    }
    return PyErr_CheckSignals();
}
