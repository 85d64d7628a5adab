// A run with threads has one state that main thread and workers share, the Execution object:
//
//     main thread                             worker threads (threading.Thread, daemon)
//     makes it; if there are other
//     processes, waits until all are there
//     starts the threads                      run(index): run the engine, note how it ended
//     sleeps until all are done,              the last thing each does: count itself as done,
//     a signal or a failure                   wake the main thread
//     if there are other processes, waits
//     until their workers are done too
//     raises what the first failure was
//
// Every thread holds a reference to it. What they write to each other is atomic, or under `lock`.
#include "execution.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "attribute.h"
#include "base/waker.h"
#include "cluster/cluster.h"
#include "item.h"
#include "net_argument.h"
#include "plan.h"
#include "raise.h"
#include "signals.h"
#include "state.h"

#define ONE_SECOND_NS BW_NS_PER_S
// Between two attempts to break workers out of Python code: what cleans up after one has that long.
#define NUDGE_NS BW_NS_PER_S

typedef struct worker_thread {
    PyObject *thread;              // owned: threading.Thread
    atomic_bool begun;             // run() was called for it, which must happen but once
    _Atomic(unsigned long) ident;  // of the thread while it is in run(), else 0
    bool item_failed;              // its own: what it fails with is an item that can't travel
} worker_thread;

typedef struct execution {
    PyObject_HEAD
    PyObject *module;  // owned: keeps the state
    bw_engine_state *state;
    bw_plan *plan;
    bw_net_argument net;
    bw_cluster *cluster;
    bw_link *link;          // the cluster's; NULL without other processes
    uint32_t worker_count;  // of this process
    uint32_t first_worker;  // messages and names count workers through the whole cluster
    bool is_local;          // all processes were started together, here, and share their stderr
    worker_thread *threads;
    bw_waker waker;  // the main thread's
    bool has_waker;
    atomic_uint done;         // workers that are over
    atomic_bool interrupted;  // the run was broken off: failures that follow tell nothing
    pthread_mutex_t lock;     // guards what follows
    PyObject *failure;        // owned: the first worker's exception, unless others failed before
    bw_failure failed_in;     // with it
} execution;

// ---- the object

static int
Execution_traverse(PyObject *op, visitproc visit, void *arg)
{
    execution *self = (execution *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->module);
    Py_VISIT(self->failure);
    if (self->plan != NULL) Py_VISIT(self->plan->list);
    return 0;
}

static void
Execution_dealloc(PyObject *op)
{
    execution *self = (execution *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    for (uint32_t i = 0; self->threads != NULL && i < self->worker_count; i++) {
        Py_XDECREF(self->threads[i].thread);
    }
    free(self->threads);
    bw_cluster_free(self->cluster);
    bw_net_argument_fini(&self->net);
    bw_plan_free(self->plan);
    if (self->has_waker) bw_waker_fini(&self->waker);
    pthread_mutex_destroy(&self->lock);
    Py_XDECREF(self->failure);
    Py_XDECREF(self->module);
    type->tp_free(op);
    Py_DECREF(type);
}

// ---- items on their way from and to other processes

/// The step is known to whoever is told of the failure: notes for it that it is one of these.
static bw_status
note_item_failure(execution *self, bw_status status)
{
    unsigned long ident = PyThread_get_thread_ident();
    for (uint32_t i = 0; status == BW_EHOST && i < self->worker_count; i++) {
        if (atomic_load(&self->threads[i].ident) == ident) self->threads[i].item_failed = true;
    }
    return status;
}

static bw_status
encode_items(void *op, const bw_batch *batch, bw_writer *writer)
{
    execution *self = op;
    return note_item_failure(self, bw_python_items.encode(self->state, batch, writer));
}

static bw_status
decode_items(void *op, const uint8_t *bytes, size_t size, uint32_t count, bw_batch *batch)
{
    execution *self = op;
    return note_item_failure(self, bw_python_items.decode(self->state, bytes, size, count, batch));
}

// ---- making one

/// Reads what there is to know of other processes, for which `net` is None, or a dict.
static int
init_net(execution *self, PyObject *net)
{
    if (net == Py_None) return 0;
    if (bw_net_argument_init(&self->net, net, self->worker_count) != 0) return -1;
    self->first_worker = self->net.settings.process_index * self->worker_count;
    self->is_local = self->net.settings.listen_fd >= 0;
    return 0;
}

static int
init_cluster(execution *self, PyObject *list, PyObject *net, uint64_t epoch_interval_ns)
{
    if (init_net(self, net) != 0) return -1;
    bw_net_settings *peers = net == Py_None ? NULL : &self->net.settings;
    uint32_t process_count = peers == NULL ? 1 : peers->process_count;
    self->plan = bw_plan_new(self->state, list, self->worker_count * process_count);
    if (self->plan == NULL) return -1;
    if (peers != NULL) {
        if (bw_plan_hash(self->plan, &peers->graph_hash) != 0) return -1;
        peers->step_count = self->plan->stage_count;
    }
    bw_execution settings = {
        .graph = self->plan->graph,
        .items = bw_python_items,
        .clock = bw_clock_real(),
        .epoch_interval_ns = epoch_interval_ns,
        .window_items = BW_WINDOW_ITEMS,
        .resume_epoch = 0,
    };
    settings.items.encode = encode_items;
    settings.items.decode = decode_items;
    settings.items.self = self;
    bw_status status = bw_cluster_new(&settings, self->worker_count, peers, &self->cluster);
    if (status == BW_EIO) {
        PyErr_SetFromErrno(PyExc_OSError);
    } else if (status != BW_OK) {
        bw_raise_status(self->state, status, NULL, NULL);
    }
    if (status != BW_OK) return -1;
    self->link = bw_cluster_link(self->cluster);
    return 0;
}

static execution *
new_execution(PyObject *module, PyObject *list, uint32_t worker_count, PyObject *net,
              uint64_t epoch_interval_ns)
{
    bw_engine_state *state = bw_state_of_module(module);
    execution *self = (execution *)state->Execution->tp_alloc(state->Execution, 0);
    if (self == NULL) return NULL;
    self->module = Py_NewRef(module);
    self->state = state;
    self->worker_count = worker_count;
    atomic_init(&self->done, 0);
    atomic_init(&self->interrupted, false);
    if (pthread_mutex_init(&self->lock, NULL) != 0) abort();  // can't fail on Linux or macOS
    if (init_cluster(self, list, net, epoch_interval_ns) == 0) return self;
    Py_DECREF(self);
    return NULL;
}

// ---- how a worker's end becomes an exception

/// What the engine tells of one worker, on its thread.
typedef struct host {
    execution *execution;
    const bw_signals *signals;  // NULL on a thread that gets none
    PyObject *failure;          // owned: what the worker failed with
    bw_failure failed_in;       // with it
    bool late;                  // it failed when others had
} host;

static void *
host_detach(void *self)
{
    (void)self;
    return PyEval_SaveThread();
}

static void
host_attach(void *self, void *token)
{
    (void)self;
    PyEval_RestoreThread(token);
}

static bw_status
host_tick(void *self, const uint8_t *numbers, uint32_t count)
{
    const host *host = self;
    if (host->signals != NULL && bw_signals_check(host->signals, numbers, count) != 0) return BW_EHOST;
    if (numbers != NULL) return BW_OK;  // after a sleep others had their turn
    bw_breathe();
    return BW_OK;
}

static bool
link_has_failed(const execution *self)
{
    return self->link != NULL && bw_link_state_of(self->link) == BW_LINK_FAILED;
}

static void
host_failed(void *self, const bw_failure *failure, char **step, char **text)
{
    host *host = self;
    const execution *execution = host->execution;
    host->late = link_has_failed(execution);
    host->failed_in = *failure;
    PyObject *label = bw_plan_label(execution->plan, failure->step_index);
    if (label != NULL && execution->threads != NULL &&
        execution->threads[failure->worker_index - execution->first_worker].item_failed) {
        bw_raise_on_way(execution->state, label);
    }
    bw_raise_status(execution->state, failure->status, &failure->error, label);
    host->failure = PyErr_GetRaisedException();
    if (execution->link == NULL) return;
    const char *name = label == NULL ? NULL : PyUnicode_AsUTF8(label);
    if (name != NULL) *step = strdup(name);
    *text = bw_exception_text(host->failure);
}

/// Runs one worker on this thread to its end. What it failed with is left in `host`.
static void
run_worker(execution *self, uint32_t index, host *host)
{
    const bw_host_ops ops = {
        .detach = host_detach,
        .attach = host_attach,
        .tick = host_tick,
        .tick_interval_ns = BW_BREATH_NS,
        .failed = host_failed,
        .self = host,
    };
    bw_status status = bw_cluster_run(self->cluster, index, &ops);
    bw_plan_enter(self->plan, self->first_worker + index, NULL);
    if (PyErr_Occurred()) {  // a flush that failed after the failure: the first one counts
        if (host->failure == NULL && status < 0) {
            host->failure = PyErr_GetRaisedException();
        } else {
            PyErr_Clear();
        }
    }
}

/// Sets what run() raises for an exception that ended it, a reference which is taken over.
static void
raise_end(PyObject *exception)
{
    if (!PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_KeyboardInterrupt)) {
        PyErr_SetRaisedException(exception);
        return;
    }
    PyErr_SetString(PyExc_KeyboardInterrupt,
                    "interrupt signal received, all processes have been shut down");
    PyObject *interrupt = PyErr_GetRaisedException();
    PyException_SetCause(interrupt, exception);
    PyErr_SetRaisedException(interrupt);
}

// ---- one worker in the calling thread

static PyObject *
run_here(execution *self)
{
    bw_signals signals;
    if (bw_signals_install(&signals, bw_cluster_wake_fd(self->cluster, 0)) != 0) return NULL;
    host host = {.execution = self, .signals = &signals};
    run_worker(self, 0, &host);
    bw_signals_restore(&signals);
    if (host.failure == NULL) Py_RETURN_NONE;
    raise_end(host.failure);
    return NULL;
}

// ---- worker threads

/// Keeps the first failure, and says each on stderr: run() raises but one.
static void
note_failure(execution *self, uint32_t index, const host *host)
{
    if (atomic_load(&self->interrupted)) {
        Py_DECREF(host->failure);
        return;
    }
    char name[40];
    PyOS_snprintf(name, sizeof name, "bytewax:worker-%u", (unsigned int)(self->first_worker + index));
    bw_print_exception(host->failure, name);
    pthread_mutex_lock(&self->lock);
    bool is_first = self->failure == NULL && !host->late;
    if (is_first) {
        self->failure = host->failure;
        self->failed_in = host->failed_in;
    }
    pthread_mutex_unlock(&self->lock);
    if (!is_first) Py_DECREF(host->failure);
}

/// Lets what was to break into this thread come now, into a bit of Python that it can't harm. To take it
/// back instead would leave a flag set in the interpreter, up to CPython 3.12: that slows all code, and in
/// 3.11 hangs it where it is traced.
static void
let_break_in(const execution *self)
{
    PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), self->state->WorkerStop);
    PyObject *variables = PyDict_New();
    PyObject *result = NULL;
    if (variables != NULL) result = PyRun_String("None", Py_eval_input, variables, variables);
    Py_XDECREF(result);
    Py_XDECREF(variables);
    PyErr_Clear();
}

/// The target of a worker's thread.
static PyObject *
Execution_run(PyObject *op, PyObject *argument)
{
    execution *self = (execution *)op;
    unsigned long index = PyLong_AsUnsignedLong(argument);
    if (PyErr_Occurred()) return NULL;
    if (self->threads == NULL || index >= self->worker_count) {
        return PyErr_Format(PyExc_ValueError, "there is no worker %lu", index);
    }
    worker_thread *me = &self->threads[index];
    if (atomic_exchange(&me->begun, true)) {
        return PyErr_Format(PyExc_RuntimeError, "worker %lu runs already, or did", index);
    }
    atomic_store(&me->ident, PyThread_get_thread_ident());
    host host = {.execution = self};
    run_worker(self, (uint32_t)index, &host);
    if (host.failure != NULL) note_failure(self, (uint32_t)index, &host);
    // From here on nobody breaks in; what is on its way already comes now.
    atomic_store(&me->ident, 0);
    if (atomic_load(&self->plan->broken_off)) let_break_in(self);
    PyErr_Clear();
    atomic_fetch_add(&self->done, 1);
    bw_waker_wake(&self->waker);
    Py_RETURN_NONE;
}

/// The step of the user's that a worker is in: borrowed, or NULL.
static PyObject *
current_step(const execution *self, uint32_t index)
{
    return atomic_load_explicit(&self->plan->current[self->first_worker + index], memory_order_relaxed);
}

/// Makes workers that run Python code raise there. What blocks in C can't be broken off.
static void
break_in(execution *self)
{
    atomic_store(&self->plan->broken_off, true);
    for (uint32_t i = 0; i < self->worker_count; i++) {
        unsigned long ident = atomic_load(&self->threads[i].ident);
        if (ident != 0) PyThreadState_SetAsyncExc(ident, self->state->WorkerStop);
    }
}

/// Names on stderr what is being waited for.
static void
name_busy(execution *self)
{
    for (uint32_t i = 0; i < self->worker_count; i++) {
        if (atomic_load(&self->threads[i].ident) == 0) continue;
        PyObject *label = current_step(self, i);
        if (label == NULL) continue;
        PySys_FormatStderr("bytewax: waiting for worker %u, which is in the user's code in step %R; "
                           "interrupt again to leave it behind\n",
                           (unsigned int)(self->first_worker + i), label);
    }
}

/// What the main thread waits for, as far as it is known.
typedef struct news {
    unsigned done;  // workers
    bw_link_state link;
} news;

static news
news_of(execution *self)
{
    return (news){
        .done = atomic_load(&self->done),
        .link = self->link == NULL ? BW_LINK_CONNECTED : bw_link_state_of(self->link),
    };
}

/// Sleeps until there is more news than `seen`, a signal came or the deadline is over. 0, or -1 with what a
/// signal's handler raised.
static int
sleep_until(execution *self, const bw_signals *signals, news seen, uint64_t deadline_ns)
{
    uint8_t numbers[32];
    uint32_t count = 0;
    bw_waker_arm(&self->waker);
    news now = news_of(self);
    if (now.done != seen.done || now.link != seen.link) {
        bw_waker_disarm(&self->waker);
    } else {
        Py_BEGIN_ALLOW_THREADS
        count = bw_waker_wait(&self->waker, deadline_ns, numbers, sizeof numbers);
        Py_END_ALLOW_THREADS
    }
    return bw_signals_check(signals, numbers, count);
}

/// After a stop: breaks into workers after `patience_ns`, names those that stay, until all are done or
/// a second signal raises. 0, or -1 with its exception.
static int
wait_stopped(execution *self, const bw_signals *signals, uint64_t patience_ns)
{
    bw_clock clock = bw_clock_real();
    uint64_t nudge_ns = bw_clock_now_ns(&clock) + patience_ns;
    uint64_t name_ns = bw_clock_now_ns(&clock) + ONE_SECOND_NS;
    for (news seen; (seen = news_of(self)).done < self->worker_count;) {
        uint64_t now_ns = bw_clock_now_ns(&clock);
        if (now_ns >= nudge_ns) {
            break_in(self);
            nudge_ns = now_ns + NUDGE_NS;
        }
        if (now_ns >= name_ns) {
            name_busy(self);
            name_ns = BW_TIME_NEVER;
        }
        uint64_t deadline_ns = nudge_ns < name_ns ? nudge_ns : name_ns;
        if (sleep_until(self, signals, seen, deadline_ns) != 0) return -1;
    }
    return 0;
}

static bool
has_failed(execution *self)
{
    return bw_cluster_failure(self->cluster).status != BW_OK || link_has_failed(self);
}

/// The run is broken off by the pending exception, which stays: workers here and in other processes shall
/// know at once.
static void
interrupt(execution *self)
{
    PyObject *exception = PyErr_GetRaisedException();
    atomic_store(&self->interrupted, true);
    bw_cluster_stop(self->cluster);
    if (self->link != NULL) {
        char *text = bw_interruption_text(exception);
        bw_link_fail(self->link, UINT32_MAX, "", text == NULL ? "interrupted" : text);
        free(text);
    }
    PyErr_SetRaisedException(exception);
}

/// Waits for the end of the workers, whatever it is. 0, or -1 with what a signal's handler raised.
static int
wait_done(execution *self, const bw_signals *signals)
{
    for (news seen; (seen = news_of(self)).done < self->worker_count;) {
        // A failure stops the others at their next turn; one that stays in user code is broken into.
        if (has_failed(self)) return wait_stopped(self, signals, ONE_SECOND_NS);
        if (sleep_until(self, signals, seen, BW_TIME_NEVER) == 0) continue;
        interrupt(self);
        PyObject *exception = PyErr_GetRaisedException();
        if (wait_stopped(self, signals, 0) != 0) PyErr_Clear();
        PyErr_SetRaisedException(exception);
        return -1;
    }
    return 0;
}

// ---- other processes

/// Waits while the link is in `state`. 0, or -1 with what a signal's handler raised.
static int
wait_link(execution *self, const bw_signals *signals, bw_link_state state)
{
    for (news seen; (seen = news_of(self)).link == state;) {
        if (sleep_until(self, signals, seen, BW_TIME_NEVER) == 0) continue;
        interrupt(self);
        return -1;
    }
    return 0;
}

/// Listens, and waits until all processes are there, or the link has failed. 0, or -1 with an exception.
static int
join_cluster(execution *self, const bw_signals *signals)
{
    bw_error error = {.text = ""};
    bw_status status;
    // From here on the listening socket is the engine's.
    Py_BEGIN_ALLOW_THREADS
    status = bw_cluster_connect(self->cluster, &self->waker, &error);
    Py_END_ALLOW_THREADS
    self->net.settings.listen_fd = -1;
    if (status == BW_OK) return wait_link(self, signals, BW_LINK_CONNECTING);
    if (error.text[0] == '\0') {
        bw_raise_status(self->state, status, NULL, NULL);
    } else {
        bw_raise_connect(self->state, &error);
    }
    return -1;
}

/// The workers here are over: says how to the other processes, waits for theirs if all went well, and lets
/// go of the connections. Keeps a pending exception, which has ended the run.
static void
leave_cluster(execution *self, const bw_signals *signals)
{
    PyObject *pending = PyErr_GetRaisedException();
    if (pending == NULL && !has_failed(self)) {
        bw_link_leave(self->link);
        if (wait_link(self, signals, BW_LINK_CONNECTED) != 0) pending = PyErr_GetRaisedException();
    }
    Py_BEGIN_ALLOW_THREADS
    bw_cluster_disconnect(self->cluster);
    Py_END_ALLOW_THREADS
    if (pending != NULL) PyErr_SetRaisedException(pending);
}

// ---- starting threads

static PyObject *
new_thread(execution *self, PyObject *thread_class, uint32_t index)
{
    PyObject *thread = NULL, *args = NULL, *kwargs = NULL;
    PyObject *target = bw_attribute((PyObject *)self, "_run");
    PyObject *name =
        PyUnicode_FromFormat("bytewax:worker-%u", (unsigned int)(self->first_worker + index));
    if (target != NULL && name != NULL) {
        args = PyTuple_New(0);
        kwargs = Py_BuildValue("{s:O,s:(I),s:O,s:O}", "target", target, "args", index, "name", name,
                               "daemon", Py_True);
    }
    if (args != NULL && kwargs != NULL) thread = PyObject_Call(thread_class, args, kwargs);
    Py_XDECREF(target);
    Py_XDECREF(name);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return thread;
}

static int
make_threads(execution *self)
{
    PyObject *threading = PyImport_ImportModule("threading");
    if (threading == NULL) return -1;
    PyObject *thread_class = bw_attribute(threading, "Thread");
    Py_DECREF(threading);
    if (thread_class == NULL) return -1;
    int error = 0;
    for (uint32_t i = 0; i < self->worker_count && error == 0; i++) {
        self->threads[i].thread = new_thread(self, thread_class, i);
        error = self->threads[i].thread == NULL ? -1 : 0;
    }
    Py_DECREF(thread_class);
    return error;
}

typedef struct starter {
    execution *execution;
    uint32_t started;   // threads that run
    PyObject *failure;  // owned: why it is not all of them
} starter;

static void *
start_each(void *argument)
{
    starter *starter = argument;
    PyGILState_STATE attached = PyGILState_Ensure();
    for (; starter->started < starter->execution->worker_count; starter->started++) {
        PyObject *thread = starter->execution->threads[starter->started].thread;
        PyObject *result = bw_call_method(thread, "start", NULL, NULL);
        if (result == NULL) {
            starter->failure = PyErr_GetRaisedException();
            break;
        }
        Py_DECREF(result);
    }
    PyGILState_Release(attached);
    return NULL;
}

/// Makes all threads, then starts them. Returns how many run; fewer than all with an exception set.
///
/// They are started from a thread that no signal handler runs on: one that raises within
/// Thread.start() would leave it open whether the thread runs.
static uint32_t
start_threads(execution *self)
{
    if (Py_IsFinalizing()) {
        PyErr_SetString(PyExc_RuntimeError, "can't start new thread at interpreter shutdown");
        return 0;
    }
    if (make_threads(self) != 0) return 0;
    starter starter = {.execution = self};
    pthread_t thread;
    int error = pthread_create(&thread, NULL, start_each, &starter);
    if (error != 0) {
        PyErr_Format(PyExc_RuntimeError, "can't start new thread: %s", strerror(error));
        return 0;
    }
    Py_BEGIN_ALLOW_THREADS
    pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS
    if (starter.failure != NULL) PyErr_SetRaisedException(starter.failure);
    return starter.started;
}

/// Waits until the threads, whose work is over, have left Python. Keeps a pending exception; where there
/// is none, what a signal's handler raises meanwhile becomes it.
static void
join_threads(execution *self, uint32_t started)
{
    PyObject *pending = PyErr_GetRaisedException();
    for (uint32_t i = 0; i < started;) {
        PyObject *result = bw_call_method(self->threads[i].thread, "join", NULL, NULL);
        if (result != NULL) {
            Py_DECREF(result);
            i++;
            continue;
        }
        PyObject *raised = PyErr_GetRaisedException();
        if (pending == NULL) {
            pending = raised;
        } else {
            Py_DECREF(raised);
        }
    }
    if (pending != NULL) PyErr_SetRaisedException(pending);
}

/// Lets go of the threads: one that was never started holds its target, which holds this object.
static void
drop_threads(execution *self)
{
    for (uint32_t i = 0; i < self->worker_count; i++) Py_CLEAR(self->threads[i].thread);
}

/// A worker of this process failed first.
static void
raise_worker_died(execution *self, PyObject *cause, const bw_failure *failure)
{
    static const char said[] = "Worker thread died; look for errors above";
    PyObject *label = bw_plan_label(self->plan, failure->step_index);
    char worker[64];
    if (self->net.settings.process_count > 1) {
        PyOS_snprintf(worker, sizeof worker, "worker %u of process %u",
                      (unsigned int)failure->worker_index,
                      (unsigned int)self->net.settings.process_index);
    } else {
        PyOS_snprintf(worker, sizeof worker, "worker %u", (unsigned int)failure->worker_index);
    }
    PyErr_SetRaisedException(cause);
    if (label == NULL) {
        bw_raise_from_pending(self->state->BytewaxRuntimeError, "%s (%s)", said, worker);
    } else {
        bw_raise_from_pending(self->state->BytewaxRuntimeError, "%s (%s, in or after step %R)", said,
                              worker, label);
    }
}

/// Sets the exception for what ended the run badly, if something did.
static void
raise_failure(execution *self)
{
    pthread_mutex_lock(&self->lock);
    PyObject *cause = self->failure;
    bw_failure failure = self->failed_in;
    self->failure = NULL;
    pthread_mutex_unlock(&self->lock);
    if (cause != NULL) {
        raise_worker_died(self, cause, &failure);
    } else if (link_has_failed(self)) {
        if (!self->is_local) bw_print_remote(bw_link_failure_of(self->link));
        bw_raise_remote(self->state, bw_link_failure_of(self->link));
    } else if (has_failed(self)) {  // it came when we had given up already
        bw_failure late = bw_cluster_failure(self->cluster);
        bw_raise_status(self->state, late.status, &late.error, NULL);
    }
}

/// Starts the workers and waits for their end. Returns how many threads were started; with an exception:
/// not all could be, or a signal's handler raised it.
static uint32_t
run_workers(execution *self, const bw_signals *signals)
{
    uint32_t started = start_threads(self);
    if (started == self->worker_count) {
        wait_done(self, signals);
        return started;
    }
    interrupt(self);
    PyObject *error = PyErr_GetRaisedException();
    atomic_fetch_add(&self->done, self->worker_count - started);
    if (wait_stopped(self, signals, 0) != 0) PyErr_Clear();
    PyErr_SetRaisedException(error);
    return started;
}

static PyObject *
run_threads(execution *self)
{
    self->threads = calloc(self->worker_count, sizeof *self->threads);
    if (self->threads == NULL) return PyErr_NoMemory();
    if (bw_waker_init(&self->waker) != BW_OK) return PyErr_SetFromErrno(PyExc_OSError);
    self->has_waker = true;
    bw_signals signals;
    if (bw_signals_install(&signals, self->waker.write_fd) != 0) return NULL;
    uint32_t started = 0;
    bool connected = self->link == NULL || join_cluster(self, &signals) == 0;
    if (connected && !link_has_failed(self)) started = run_workers(self, &signals);
    if (self->link != NULL) leave_cluster(self, &signals);
    bw_signals_restore(&signals);
    if (started > 0 && atomic_load(&self->done) == self->worker_count) join_threads(self, started);
    drop_threads(self);
    if (!PyErr_Occurred()) {
        raise_failure(self);
        if (PyErr_Occurred()) return NULL;
        Py_RETURN_NONE;
    }
    raise_end(PyErr_GetRaisedException());
    return NULL;
}

// ---- the module's function

PyObject *
bw_run(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"plan", "worker_count", "epoch_interval_us", "threads", "net", NULL};
    PyObject *list, *net = Py_None;
    // What is left out is refused below by its value: the parser knows no required arguments by keyword
    // before an optional one.
    unsigned int worker_count = 0;
    unsigned long long epoch_interval_us = 0;
    int threads = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$IKpO:run", keywords, &list, &worker_count,
                                     &epoch_interval_us, &threads, &net)) {
        return NULL;
    }
    if (worker_count == 0 || worker_count > 65536 || (!threads && worker_count != 1)) {
        return PyErr_Format(PyExc_ValueError,
                            "worker_count must be from 1 to 65536, and 1 without threads; got %u",
                            worker_count);
    }
    if (!threads && net != Py_None) {
        PyErr_SetString(PyExc_ValueError, "net must be None without threads");
        return NULL;
    }
    uint64_t interval_ns =
        epoch_interval_us > UINT64_MAX / 1000 ? UINT64_MAX : (uint64_t)epoch_interval_us * 1000;
    execution *self = new_execution(module, list, worker_count, net, interval_ns);
    if (self == NULL) return NULL;
    PyObject *result = threads ? run_threads(self) : run_here(self);
    Py_DECREF(self);
    return result;
}

static PyMethodDef Execution_methods[] = {
    {"_run", Execution_run, METH_O, PyDoc_STR("_run($self, worker_index, /)\n--\n\nRun one worker.")},
    {NULL},
};
static PyType_Slot Execution_slots[] = {
    {Py_tp_dealloc, Execution_dealloc},
    {Py_tp_traverse, Execution_traverse},
    {Py_tp_methods, Execution_methods},
    {0, NULL},
};
PyType_Spec bw_execution_spec = {
    .name = "bytewax._engine._Execution",
    .basicsize = sizeof(execution),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Execution_slots,
};
