#define _POSIX_C_SOURCE 200809L

#include "net/lookup.h"

#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct bw_lookup {
    bw_address address;
    pthread_mutex_t lock;  // guards what follows
    void (*wake)(void *self);
    void *self;
    bool is_done, is_left;  // the second of the two sides frees
    bw_status status;
    struct addrinfo *found;
    bw_error error;
};

static void
free_lookup(bw_lookup *lookup)
{
    if (lookup->found != NULL) freeaddrinfo(lookup->found);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static void *
look_up(void *argument)
{
    bw_lookup *lookup = argument;
    struct addrinfo *found = NULL;
    bw_error error;
    bw_status status = bw_address_look_up(&lookup->address, 0, &found, &error);

    pthread_mutex_lock(&lookup->lock);
    lookup->status = status;
    lookup->found = found;
    if (status != BW_OK) lookup->error = error;
    lookup->is_done = true;
    bool is_left = lookup->is_left;
    // Under the lock, so that the loop is still there: it leaves before it ends.
    if (!is_left) lookup->wake(lookup->self);
    pthread_mutex_unlock(&lookup->lock);
    if (is_left) free_lookup(lookup);
    return NULL;
}

bw_status
bw_lookup_new(const bw_address *address, void (*wake)(void *self), void *self, bw_lookup **out)
{
    bw_lookup *lookup = calloc(1, sizeof *lookup);
    if (lookup == NULL) return BW_ENOMEM;
    *lookup = (bw_lookup){.address = *address, .wake = wake, .self = self};
    pthread_attr_t detached;
    if (pthread_mutex_init(&lookup->lock, NULL) != 0) goto free_lookup;
    if (pthread_attr_init(&detached) != 0) goto destroy_lock;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_t thread;  // has the caller's signal mask: blocks all
    int failure = pthread_create(&thread, &detached, look_up, lookup);
    pthread_attr_destroy(&detached);
    if (failure != 0) goto destroy_lock;
    *out = lookup;
    return BW_OK;

destroy_lock:
    pthread_mutex_destroy(&lookup->lock);
free_lookup:
    free(lookup);
    return BW_ENOMEM;
}

bw_status
bw_lookup_result(bw_lookup *lookup, struct addrinfo **out, bw_error *error)
{
    pthread_mutex_lock(&lookup->lock);
    bw_status status = lookup->is_done ? lookup->status : BW_EMPTY;
    if (status == BW_OK) {
        *out = lookup->found;
        lookup->found = NULL;
    } else if (status != BW_EMPTY) {
        *error = lookup->error;
    }
    pthread_mutex_unlock(&lookup->lock);
    return status;
}

void
bw_lookup_leave(bw_lookup *lookup)
{
    pthread_mutex_lock(&lookup->lock);
    lookup->is_left = true;
    bool is_done = lookup->is_done;
    pthread_mutex_unlock(&lookup->lock);
    if (is_done) free_lookup(lookup);
}
