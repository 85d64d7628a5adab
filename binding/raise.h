// raise.h - the one place where failures become exceptions: the user's own keep their class and become
// the cause of one that says what was being done and in which step.
#ifndef BW_BINDING_RAISE_H
#define BW_BINDING_RAISE_H

#include "compat.h"

#include "base/status.h"
#include "cluster/link.h"
#include "state.h"

/// Decorates the pending exception: one of the same class (KeyError: of RuntimeError too) whose text
/// has `phrase`, the step's label and the original's text, and whose cause is the original. Where the
/// class can't be made from a text, the original stays, with a note. What is no Exception (SystemExit,
/// KeyboardInterrupt, ...) passes unchanged. `label` NULL: no step. Attached.
void bw_raise_user(bw_engine_state *state, const char *phrase, PyObject *label);

/// Sets `type` with a text in which %U stands for the repr of `value`, which may fail, and then %R for
/// the step's label (NULL: there is no %R).
void bw_raise_about(PyObject *type, const char *format, PyObject *value, PyObject *label);

/// Adds a note that names the step to the pending exception, which otherwise stays as it is.
void bw_note_user(PyObject *label);

/// Sets `type` with the text, and the pending exception as its cause.
void bw_raise_from_pending(PyObject *type, const char *format, ...);

/// Names the step for which an item was on its way in the pending exception, if that is about such an item.
void bw_raise_on_way(bw_engine_state *state, PyObject *label);

/// Sets the exception for a failure of the engine's own, unless one is pending. `error` may be NULL or empty:
/// there is no more to say than the status does.
void bw_raise_status(bw_engine_state *state, bw_status status, const bw_error *error, PyObject *label);

/// Sets the exception for a process that can't listen, or not be part of its cluster.
void bw_raise_connect(bw_engine_state *state, const bw_error *error);

/// Sets the exception for what another process, or the connection to one, failed with.
void bw_raise_remote(bw_engine_state *state, const bw_link_failure *failure);

/// The traceback of an exception as UTF-8, malloc()ed; NULL where that can't be had. Never fails otherwise.
char *bw_exception_text(PyObject *exception);

/// How other processes are told of the exception that interrupted this one, likewise.
char *bw_interruption_text(PyObject *exception);

/// Writes an exception's traceback to sys.stderr, each line after `<name> `, in one piece. Never fails.
void bw_print_exception(PyObject *exception, const char *name);

/// Likewise what bw_raise_remote() is about.
void bw_print_remote(const bw_link_failure *failure);

#endif
