#include "raise.h"

#include <stdarg.h>

#include "attribute.h"

/// Clears what the user's code raised while we looked at an exception, unless that is an interrupt: it
/// came from outside, and nobody would see it again.
static void
clear_error(void)
{
    if (!PyErr_ExceptionMatches(PyExc_KeyboardInterrupt)) PyErr_Clear();
}

/// Borrowed `exception`; its text as str(), or that of its class where str() fails. NULL with an exception:
/// an interrupt, or no memory.
static PyObject *
text_of(PyObject *exception)
{
    PyObject *text = PyObject_Str(exception);
    if (text != NULL) return text;
    clear_error();
    if (PyErr_Occurred()) return NULL;
    return PyUnicode_FromString("(its text can't be had: str() of it fails)");
}

void
bw_raise_about(PyObject *type, const char *format, PyObject *value, PyObject *label)
{
    PyObject *text = PyObject_Repr(value);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        text = PyUnicode_FromFormat("<%s object whose repr() fails>", Py_TYPE(value)->tp_name);
    }
    if (text == NULL) return;
    PyErr_Format(type, format, text, label);
    Py_DECREF(text);
}

/// The class to raise for `original`: borrowed.
static PyObject *
class_for(bw_engine_state *state, PyObject *original)
{
    if (Py_IS_TYPE(original, (PyTypeObject *)PyExc_KeyError)) return state->UserKeyError;
    return (PyObject *)Py_TYPE(original);
}

/// True if `rebuilt` is what we asked for: of the class, with our text in its own.
static int
says(PyObject *rebuilt, PyObject *type, PyObject *message)
{
    if (!Py_IS_TYPE(rebuilt, (PyTypeObject *)type)) return 0;
    PyObject *text = PyObject_Str(rebuilt);
    if (text == NULL) return 0;
    int found = PyUnicode_Contains(text, message) == 1;
    Py_DECREF(text);
    return found;
}

/// A new exception of the class with the message, or NULL if that can't be, with no exception set but an
/// interrupt.
static PyObject *
rebuild(PyObject *type, PyObject *message, PyObject *original)
{
    PyObject *rebuilt = PyObject_CallOneArg(type, message);
    // A class may have but one instance, which can't be its own cause.
    if (rebuilt != NULL && rebuilt != original && says(rebuilt, type, message)) return rebuilt;
    Py_XDECREF(rebuilt);
    clear_error();
    return NULL;
}

static void
add_note(PyObject *exception, PyObject *note)
{
    PyObject *result = bw_call_method(exception, "add_note", note, NULL);
    if (result == NULL) PyErr_Clear();  // Python 3.10 has none
    Py_XDECREF(result);
}

static PyObject *
message_for(const char *phrase, PyObject *label, PyObject *original)
{
    PyObject *text = text_of(original);
    if (text == NULL) return NULL;
    PyObject *message;
    if (label == NULL) {
        message =
            PyUnicode_FromFormat("%s\nCaused by => %s: %U", phrase, Py_TYPE(original)->tp_name, text);
    } else {
        message = PyUnicode_FromFormat("%s in step %R\nCaused by => %s: %U", phrase, label,
                                       Py_TYPE(original)->tp_name, text);
    }
    Py_DECREF(text);
    return message;
}

void
bw_raise_user(bw_engine_state *state, const char *phrase, PyObject *label)
{
    PyObject *original = PyErr_GetRaisedException();
    if (original == NULL) return;
    PyObject *message = NULL, *rebuilt = NULL;
    if (PyObject_TypeCheck(original, (PyTypeObject *)PyExc_Exception)) {
        message = message_for(phrase, label, original);
        if (message == NULL) {
            clear_error();
        } else {
            rebuilt = rebuild(class_for(state, original), message, original);
        }
    }
    if (PyErr_Occurred()) {  // an interrupt that came meanwhile
        Py_DECREF(original);
    } else if (rebuilt != NULL) {
        PyException_SetCause(rebuilt, original);  // takes the reference
        PyErr_SetRaisedException(rebuilt);
    } else {
        if (message != NULL) add_note(original, message);
        PyErr_SetRaisedException(original);
    }
    Py_XDECREF(message);
}

void
bw_note_user(PyObject *label)
{
    PyObject *exception = PyErr_GetRaisedException();
    if (exception == NULL) return;
    PyObject *note = PyUnicode_FromFormat("in step %R", label);
    if (note == NULL) {
        PyErr_Clear();
    } else if (PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_Exception)) {
        add_note(exception, note);
    }
    Py_XDECREF(note);
    PyErr_SetRaisedException(exception);
}

void
bw_raise_from_pending(PyObject *type, const char *format, ...)
{
    PyObject *cause = PyErr_GetRaisedException();
    va_list arguments;
    va_start(arguments, format);
    PyErr_FormatV(type, format, arguments);
    va_end(arguments);
    if (cause == NULL) return;
    PyObject *exception = PyErr_GetRaisedException();
    PyException_SetCause(exception, cause);
    PyErr_SetRaisedException(exception);
}

void
bw_raise_status(bw_engine_state *state, bw_status status, PyObject *label)
{
    if (PyErr_Occurred()) return;
    if (status == BW_ENOMEM) {
        PyErr_NoMemory();
    } else if (label != NULL) {
        PyErr_Format(state->BytewaxRuntimeError, "the engine failed in step %R: %s", label,
                     bw_status_text(status));
    } else {
        PyErr_Format(state->BytewaxRuntimeError, "the engine failed: %s", bw_status_text(status));
    }
}

/// The lines of a traceback, each after the prefix: new str, or NULL.
static PyObject *
format_exception(PyObject *exception, const char *name)
{
    PyObject *prefix = NULL, *text = NULL, *lines = NULL, *joined = NULL, *empty = NULL;
    PyObject *traceback = PyImport_ImportModule("traceback");
    if (traceback == NULL) return NULL;
    PyObject *frames = PyException_GetTraceback(exception);  // new, or NULL for none
    PyObject *parts =
        PyObject_CallMethod(traceback, "format_exception", "OOO", (PyObject *)Py_TYPE(exception),
                            exception, frames == NULL ? Py_None : frames);
    Py_XDECREF(frames);
    Py_DECREF(traceback);
    if (parts == NULL) return NULL;
    empty = PyUnicode_FromString("");
    if (empty != NULL) text = PyUnicode_Join(empty, parts);
    if (text != NULL) lines = PyUnicode_Splitlines(text, 0);
    prefix = PyUnicode_FromFormat("\n<%s> ", name);
    if (lines != NULL && prefix != NULL) joined = PyUnicode_Join(prefix, lines);
    PyObject *result = NULL;
    if (joined != NULL) result = PyUnicode_FromFormat("<%s> %U\n", name, joined);
    Py_DECREF(parts);
    Py_XDECREF(empty);
    Py_XDECREF(text);
    Py_XDECREF(lines);
    Py_XDECREF(prefix);
    Py_XDECREF(joined);
    return result;
}

void
bw_print_exception(PyObject *exception, const char *name)
{
    PyObject *text = format_exception(exception, name);
    PyObject *error_stream = PySys_GetObject("stderr");  // borrowed
    if (text != NULL && error_stream != NULL && error_stream != Py_None) {
        Py_INCREF(error_stream);
        PyObject *result = bw_call_method(error_stream, "write", text, NULL);
        Py_XDECREF(result);
        Py_DECREF(error_stream);
    }
    PyErr_Clear();
    Py_XDECREF(text);
}
