#include "raise.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/// What was sent as UTF-8, whatever it is: new str, or NULL.
static PyObject *
decode(const char *text)
{
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "replace");
}

void
bw_raise_on_way(bw_engine_state *state, PyObject *label)
{
    PyObject *original = PyErr_GetRaisedException();
    PyObject *text = NULL;
    if (original == NULL) return;
    if (Py_IS_TYPE(original, (PyTypeObject *)state->BytewaxRuntimeError)) {
        text = text_of(original);
        if (text == NULL) clear_error();
    }
    if (PyErr_Occurred()) {  // an interrupt that came meanwhile
        Py_DECREF(original);
    } else if (text == NULL) {
        PyErr_SetRaisedException(original);
    } else {
        PyObject *cause = PyException_GetCause(original);
        if (cause != NULL) PyErr_SetRaisedException(cause);
        bw_raise_from_pending(state->BytewaxRuntimeError, "on the way into step %R: %U", label, text);
        Py_DECREF(original);
    }
    Py_XDECREF(text);
}

void
bw_raise_status(bw_engine_state *state, bw_status status, const bw_error *error, PyObject *label)
{
    if (PyErr_Occurred()) return;
    if (status == BW_ENOMEM) {
        PyErr_NoMemory();
        return;
    }
    PyObject *text =
        decode(error == NULL || error->text[0] == '\0' ? bw_status_text(status) : error->text);
    if (text == NULL) return;
    if (label != NULL) {
        PyErr_Format(state->BytewaxRuntimeError, "the engine failed in step %R: %U", label, text);
    } else {
        PyErr_Format(state->BytewaxRuntimeError, "the engine failed: %U", text);
    }
    Py_DECREF(text);
}

void
bw_raise_connect(bw_engine_state *state, const bw_error *error)
{
    PyObject *text = decode(error->text);
    if (text == NULL) return;
    PyErr_Format(state->BytewaxRuntimeError, "error building timely communication pipeline: %U", text);
    Py_DECREF(text);
}

void
bw_raise_remote(bw_engine_state *state, const bw_link_failure *failure)
{
    PyObject *text = decode(failure->text), *step = decode(failure->step);
    if (text == NULL || step == NULL) goto done;
    if (!failure->reported) {
        PyErr_SetObject(state->BytewaxRuntimeError, text);
    } else if (failure->worker == UINT32_MAX) {
        PyErr_Format(state->BytewaxRuntimeError, "process %u ended the run: %U",
                     (unsigned int)failure->process, text);
    } else if (PyUnicode_GET_LENGTH(step) == 0) {
        PyErr_Format(state->BytewaxRuntimeError, "process %u failed: worker %u died\n%U",
                     (unsigned int)failure->process, (unsigned int)failure->worker, text);
    } else {
        PyErr_Format(state->BytewaxRuntimeError,
                     "process %u failed: worker %u died, in or after step %R\n%U",
                     (unsigned int)failure->process, (unsigned int)failure->worker, step, text);
    }

done:
    Py_XDECREF(text);
    Py_XDECREF(step);
}

/// traceback.format_exception() in one piece: new str, or NULL.
static PyObject *
format_exception(PyObject *exception)
{
    PyObject *traceback = PyImport_ImportModule("traceback");
    if (traceback == NULL) return NULL;
    PyObject *frames = PyException_GetTraceback(exception);  // new, or NULL for none
    PyObject *parts =
        PyObject_CallMethod(traceback, "format_exception", "OOO", (PyObject *)Py_TYPE(exception),
                            exception, frames == NULL ? Py_None : frames);
    Py_XDECREF(frames);
    Py_DECREF(traceback);
    if (parts == NULL) return NULL;
    PyObject *empty = PyUnicode_FromString(""), *text = NULL;
    if (empty != NULL) text = PyUnicode_Join(empty, parts);
    Py_XDECREF(empty);
    Py_DECREF(parts);
    return text;
}

/// Each line of a text after `<name> `: new str, or NULL.
static PyObject *
prefix_lines(PyObject *text, const char *name)
{
    PyObject *lines = PyUnicode_Splitlines(text, 0), *joined = NULL, *result = NULL;
    PyObject *prefix = PyUnicode_FromFormat("\n<%s> ", name);
    if (lines != NULL && prefix != NULL) joined = PyUnicode_Join(prefix, lines);
    if (joined != NULL) result = PyUnicode_FromFormat("<%s> %U\n", name, joined);
    Py_XDECREF(lines);
    Py_XDECREF(prefix);
    Py_XDECREF(joined);
    return result;
}

/// Writes a text (NULL: none) to sys.stderr, and clears what failed meanwhile.
static void
write_error(PyObject *text)
{
    PyObject *error_stream = PySys_GetObject("stderr");  // borrowed
    if (text != NULL && error_stream != NULL && error_stream != Py_None) {
        Py_INCREF(error_stream);
        PyObject *result = bw_call_method(error_stream, "write", text, NULL);
        Py_XDECREF(result);
        Py_DECREF(error_stream);
    }
    PyErr_Clear();
}

/// UTF-8 of a str (NULL: none), malloc()ed; NULL where that can't be had, with no exception set.
static char *
copy_text(PyObject *text)
{
    PyObject *bytes = NULL;
    // Half a surrogate pair is no UTF-8.
    if (text != NULL) bytes = PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace");
    char *copy = bytes == NULL ? NULL : strdup(PyBytes_AS_STRING(bytes));
    Py_XDECREF(bytes);
    PyErr_Clear();
    return copy;
}

char *
bw_exception_text(PyObject *exception)
{
    PyObject *text = format_exception(exception);
    char *copy = copy_text(text);
    Py_XDECREF(text);
    return copy;
}

char *
bw_interruption_text(PyObject *exception)
{
    const char *name = Py_TYPE(exception)->tp_name;
    PyObject *said = PyObject_Str(exception), *text = NULL;
    if (said == NULL) PyErr_Clear();
    if (said == NULL || PyUnicode_GET_LENGTH(said) == 0) {
        text = PyUnicode_FromFormat("interrupted by %s", name);
    } else {
        text = PyUnicode_FromFormat("interrupted by %s: %U", name, said);
    }
    char *copy = copy_text(text);
    Py_XDECREF(said);
    Py_XDECREF(text);
    return copy;
}

void
bw_print_exception(PyObject *exception, const char *name)
{
    PyObject *text = format_exception(exception), *lines = NULL;
    if (text != NULL) lines = prefix_lines(text, name);
    write_error(lines);
    Py_XDECREF(text);
    Py_XDECREF(lines);
}

void
bw_print_remote(const bw_link_failure *failure)
{
    PyObject *text = decode(failure->text), *lines = NULL;
    if (text != NULL && failure->reported && failure->worker != UINT32_MAX) {
        char name[80];
        PyOS_snprintf(name, sizeof name, "bytewax:worker-%u of process %u",
                      (unsigned int)failure->worker, (unsigned int)failure->process);
        lines = prefix_lines(text, name);
    } else if (text != NULL && failure->reported) {
        lines = PyUnicode_FromFormat("bytewax: process %u ended the run: %U\n",
                                     (unsigned int)failure->process, text);
    } else if (text != NULL) {
        lines = PyUnicode_FromFormat("bytewax: %U\n", text);
    }
    write_error(lines);
    Py_XDECREF(text);
    Py_XDECREF(lines);
}
