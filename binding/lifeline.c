#include "lifeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

/// Reads until the other end is gone, and then ends this process at once: Python may be stuck, so nothing
/// of it is asked. Knows nothing of Python, not even that it runs.
static void *
hold(void *argument)
{
    int fd = (int)(intptr_t)argument;
    for (;;) {
        char bytes[64];
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got > 0 || (got < 0 && errno == EINTR)) continue;
        if (got == 0 || errno != EAGAIN) break;
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        poll(&poll_fd, 1, -1);
    }
    kill(getpid(), SIGKILL);
    return NULL;
}

/// 0 or an errno. All signals are blocked in the thread: they are for those that handle them.
static int
start_thread(int fd)
{
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0) return error;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    error = pthread_create(&thread, &attributes, hold, (void *)(intptr_t)fd);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

PyObject *
bw_die_with(PyObject *module, PyObject *argument)
{
    (void)module;
    int fd = PyObject_AsFileDescriptor(argument);
    if (fd < 0) return NULL;
    int flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    int error = start_thread(fd);
    if (error == 0) Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}
