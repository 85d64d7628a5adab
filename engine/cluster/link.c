// The payload of an ERROR frame:
//
//     u32 worker | u32 size | label of the step, of that size | text, to the end
#include "cluster/link.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "net/message.h"

#define STEP_BYTES 1024
#define TEXT_BYTES (60 * 1024)
#define PAYLOAD_HEAD 8

/// A batch that comes in several frames.
typedef struct assembly {
    bw_block *block;  // owned: what came so far; NULL: none is under way
    bw_message message;
    uint32_t receiver;
    uint32_t size;  // that it will have
} assembly;

// Up to here the sender is believed when it says how large a batch will be; beyond it memory is taken as it comes.
#define BELIEVED_BYTES (16u << 20)

struct bw_link {
    bw_board *board;
    uint32_t process_index;
    // The I/O thread's alone.
    bw_mesh *mesh;         // borrowed
    assembly *assemblies;  // by sender
    bool is_over;          // the mesh has ended or failed, or was told to
    bool has_left;
    bool has_mail;  // some worker has, and was not woken for it

    pthread_mutex_t lock;  // guards what follows
    bw_link_state state;
    bw_waker *waiter;          // borrowed
    void (*wake)(void *self);  // NULL: there is no loop yet, and it will look when there is
    void *wake_self;
    bool leaves;
    bw_link_failure failure;  // with BW_LINK_FAILED; immutable from then on, as what it points to
    char step[STEP_BYTES + 1], text[TEXT_BYTES + 1];
    uint32_t payload_size;  // of what the others must be told; 0: nothing
    uint8_t payload[PAYLOAD_HEAD + STEP_BYTES + TEXT_BYTES];
};

bw_status
bw_link_new(bw_board *board, const bw_net_settings *settings, bw_link **out)
{
    *out = NULL;
    bw_link *link = calloc(1, sizeof *link);
    if (link == NULL) return BW_ENOMEM;
    link->board = board;
    link->process_index = settings->process_index;
    link->assemblies = calloc(board->worker_count, sizeof *link->assemblies);
    if (link->assemblies == NULL) goto free_link;
    if (pthread_mutex_init(&link->lock, NULL) != 0) goto free_assemblies;
    *out = link;
    return BW_OK;

free_assemblies:
    free(link->assemblies);
free_link:
    free(link);
    return BW_ENOMEM;
}

void
bw_link_free(bw_link *link)
{
    if (link == NULL) return;
    for (uint32_t i = 0; i < link->board->worker_count; i++) bw_block_free(link->assemblies[i].block);
    free(link->assemblies);
    pthread_mutex_destroy(&link->lock);
    free(link);
}

void
bw_link_attach_mesh(bw_link *link, bw_mesh *mesh, void (*wake)(void *self), void *wake_self)
{
    link->mesh = mesh;
    pthread_mutex_lock(&link->lock);
    link->wake = wake;
    link->wake_self = wake_self;
    pthread_mutex_unlock(&link->lock);
}

// ---- batches

/// To a worker that is woken by wake_receivers(): for all that was read, not for each message.
static bw_status
post(bw_link *link, uint32_t receiver, const bw_message *message)
{
    link->has_mail = true;
    return bw_queue_append(bw_board_queue(link->board, receiver), message);
}

static void
wake_receivers(void *self)
{
    bw_link *link = self;
    if (!link->has_mail) return;
    link->has_mail = false;
    for (uint32_t i = 0; i < link->board->layout.local_count; i++) {
        bw_queue *queue = &link->board->queues[i];
        if (!bw_queue_is_empty(queue)) bw_queue_wake(queue);
    }
}

static bw_status
deliver(bw_link *link, uint32_t receiver, const bw_message *head, bw_block *block)
{
    bw_message message = *head;
    message.encoded = block;
    bw_status status = post(link, receiver, &message);
    if (status != BW_OK) bw_block_free(block);
    return status;
}

/// Appends to a batch under way.
static bw_status
append(assembly *open, const uint8_t *bytes, uint32_t size)
{
    bw_block *block = open->block;
    if (size > open->size - block->size) return BW_ECORRUPT;
    uint32_t wanted = block->size + size;
    if (wanted > block->capacity) {
        uint32_t capacity = wanted < open->size / 2 ? 2 * wanted : open->size;
        if (!bw_block_resize(&open->block, capacity)) return BW_ENOMEM;
        block = open->block;
    }
    memcpy(block->bytes + block->size, bytes, size);
    block->size = wanted;
    return BW_OK;
}

static bw_status
take_data(bw_link *link, const bw_frame *frame, uint32_t receiver, uint32_t size,
          const bw_message *message)
{
    uint32_t here = frame->size - BW_DATA_HEAD;
    uint32_t believed = size < BELIEVED_BYTES ? size : BELIEVED_BYTES;
    bw_block *block = bw_block_pool_get(&link->board->blocks, here > believed ? here : believed);
    if (block == NULL) return BW_ENOMEM;
    memcpy(block->bytes, frame->payload + BW_DATA_HEAD, here);
    block->size = here;
    if (!(frame->flags & BW_FRAME_MORE_FOLLOWS)) return deliver(link, receiver, message, block);
    link->assemblies[message->sender] =
        (assembly){.block = block, .message = *message, .receiver = receiver, .size = size};
    return BW_OK;
}

static bw_status
take_more(bw_link *link, uint32_t sender, const bw_frame *frame)
{
    assembly *open = &link->assemblies[sender];
    if (open->block == NULL) return BW_ECORRUPT;
    bw_status status = append(open, frame->payload + BW_MORE_HEAD, frame->size - BW_MORE_HEAD);
    if (status != BW_OK || frame->flags & BW_FRAME_MORE_FOLLOWS) return status;
    bw_block *block = open->block;
    if (block->size != open->size) return BW_ECORRUPT;
    open->block = NULL;
    return deliver(link, open->receiver, &open->message, block);
}

// ---- frames

/// True if a worker, any number as it came, is one of a process.
static bool
is_of(const bw_link *link, uint32_t process, uint32_t worker)
{
    return worker < link->board->worker_count && bw_board_process_of(link->board, worker) == process;
}

static bw_status
on_message(bw_link *link, uint32_t process, const bw_frame *frame)
{
    uint32_t receiver, size;
    bw_message message;
    bw_status status = bw_message_read(frame, &receiver, &size, &message);
    if (status != BW_OK) return status;
    if (!is_of(link, process, message.sender)) return BW_ECORRUPT;
    if (!bw_board_is_local(link->board, receiver)) return BW_ECORRUPT;
    // What a worker says comes in order: nothing else before all of a batch.
    if (link->assemblies[message.sender].block != NULL) return BW_ECORRUPT;
    if (message.kind == BW_MESSAGE_DATA) return take_data(link, frame, receiver, size, &message);
    return post(link, receiver, &message);
}

static bw_status
on_more(bw_link *link, uint32_t process, const bw_frame *frame)
{
    uint32_t sender;
    bw_status status = bw_more_read(frame, &sender);
    if (status != BW_OK) return status;
    return is_of(link, process, sender) ? take_more(link, sender, frame) : BW_ECORRUPT;
}

static bw_status
on_assign(bw_link *link, const bw_frame *frame)
{
    uint32_t step;
    bw_bytes name;
    bw_status status = bw_assign_read(frame, &step, &name);
    return status == BW_OK ? bw_board_list_from_afar(link->board, step, name) : status;
}

static bw_status
on_ready(bw_link *link, uint32_t process, const bw_frame *frame)
{
    uint32_t worker;
    bw_ready what;
    bw_status status = bw_ready_read(frame, &worker, &what);
    if (status != BW_OK) return status;
    if (!is_of(link, process, worker)) return BW_ECORRUPT;
    return what == BW_READY_LISTED ? bw_board_count_listed_from_afar(link->board, worker)
                                   : bw_board_count_built_from_afar(link->board, worker);
}

static bw_status
on_progress(bw_link *link, uint32_t process, const bw_frame *frame)
{
    uint32_t worker;
    bw_progress what;
    bw_epoch epoch;
    bw_status status = bw_progress_read(frame, &worker, &what, &epoch);
    if (status != BW_OK) return status;
    if (!is_of(link, process, worker)) return BW_ECORRUPT;
    return what == BW_PROGRESS_BEGUN ? bw_board_begin_from_afar(link->board, epoch)
                                     : bw_board_close_from_afar(link->board, worker, epoch);
}

static bw_status
on_frame(void *self, uint32_t process, const bw_frame *frame)
{
    bw_link *link = self;
    switch (frame->kind) {
    case BW_FRAME_DATA:
    case BW_FRAME_MARK:
    case BW_FRAME_CREDIT:
        return on_message(link, process, frame);
    case BW_FRAME_MORE:
        return on_more(link, process, frame);
    case BW_FRAME_ASSIGN:
        return on_assign(link, frame);
    case BW_FRAME_READY:
        return on_ready(link, process, frame);
    case BW_FRAME_PROGRESS:
        return on_progress(link, process, frame);
    default:  // a number that came over the wire, not one of an enum
        return BW_ECORRUPT;
    }
}

// ---- states

/// With the lock held.
static void
set_state(bw_link *link, bw_link_state state)
{
    link->state = state;
    if (link->waiter != NULL) bw_waker_wake(link->waiter);
}

static bool
is_final(const bw_link *link)
{
    return link->state == BW_LINK_ENDED || link->state == BW_LINK_FAILED;
}

/// Where the character begins that the byte at `at` is of.
static size_t
character_start(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) at--;
    return at;
}

/// Copies a text of `size` bytes to `to`, which has room for `room` and a NUL. What is too long loses its
/// middle: of a traceback the beginning and the end tell most.
static void
copy_text(char *to, size_t room, const char *text, size_t size)
{
    static const char GAP[] = "\n[...]\n";
    const size_t gap = sizeof GAP - 1;
    size_t head = size, tail = 0;
    if (size > room) {
        head = character_start(text, (room - gap) / 2);
        size_t from = size - (room - gap) / 2;
        while (from < size && ((unsigned char)text[from] & 0xc0) == 0x80) from++;
        tail = size - from;
    }
    memcpy(to, text, head);
    size_t at = head;
    if (tail > 0) {
        memcpy(to + at, GAP, gap);
        memcpy(to + at + gap, text + size - tail, tail);
        at += gap + tail;
    }
    to[at] = '\0';
    for (size_t i = 0; i < at; i++) {
        if (to[i] == '\0') to[i] = '?';  // it came over the wire
    }
}

/// With the lock held, once: `failure` says all but the texts, which are copied.
static void
set_failure(bw_link *link, bw_link_failure failure, const char *step, size_t step_size, const char *text,
            size_t text_size)
{
    copy_text(link->step, STEP_BYTES, step, step_size);
    copy_text(link->text, TEXT_BYTES, text, text_size);
    link->failure = failure;
    link->failure.step = link->step;
    link->failure.text = link->text;
    set_state(link, BW_LINK_FAILED);
}

/// With the lock held: what the others are told of the failure.
static void
make_payload(bw_link *link)
{
    uint32_t step_size = (uint32_t)strlen(link->step), text_size = (uint32_t)strlen(link->text);
    bw_put_u32(link->payload, link->failure.worker);
    bw_put_u32(link->payload + 4, step_size);
    memcpy(link->payload + PAYLOAD_HEAD, link->step, step_size);
    memcpy(link->payload + PAYLOAD_HEAD + step_size, link->text, text_size);
    link->payload_size = PAYLOAD_HEAD + step_size + text_size;
}

static void
on_connected(void *self)
{
    bw_link *link = self;
    pthread_mutex_lock(&link->lock);
    if (link->state == BW_LINK_CONNECTING) set_state(link, BW_LINK_CONNECTED);
    pthread_mutex_unlock(&link->lock);
}

static void
on_failed(void *self, uint32_t process, const uint8_t *payload, uint32_t size)
{
    static const char UNREADABLE[] = "it reported a failure that can't be read";
    bw_link *link = self;
    link->is_over = true;
    bw_link_failure failure = {.reported = true, .process = process, .worker = UINT32_MAX};
    const char *step = "", *text = UNREADABLE;
    uint32_t step_size = 0, text_size = sizeof UNREADABLE - 1;
    if (size >= PAYLOAD_HEAD && bw_get_u32(payload + 4) <= size - PAYLOAD_HEAD) {
        uint32_t worker = bw_get_u32(payload);
        if (is_of(link, process, worker)) failure.worker = worker;
        step_size = bw_get_u32(payload + 4);
        step = (const char *)payload + PAYLOAD_HEAD;
        text = step + step_size;
        text_size = size - PAYLOAD_HEAD - step_size;
    }
    pthread_mutex_lock(&link->lock);
    if (!is_final(link)) set_failure(link, failure, step, step_size, text, text_size);
    pthread_mutex_unlock(&link->lock);
    bw_board_stop(link->board);
}

static void
on_broken(void *self, const bw_error *error)
{
    bw_link *link = self;
    link->is_over = true;
    const bw_link_failure failure = {.process = link->process_index, .worker = UINT32_MAX};
    pthread_mutex_lock(&link->lock);
    if (!is_final(link)) set_failure(link, failure, "", 0, error->text, strlen(error->text));
    pthread_mutex_unlock(&link->lock);
    bw_board_stop(link->board);
}

static void
on_ended(void *self)
{
    bw_link *link = self;
    link->is_over = true;
    pthread_mutex_lock(&link->lock);
    if (!is_final(link)) set_state(link, BW_LINK_ENDED);
    pthread_mutex_unlock(&link->lock);
}

/// To stderr, unless that is full: the connections must not wait for whoever reads it.
static void
say(void *self, const char *line)
{
    const bw_link *link = self;
    char text[600];
    int size = snprintf(text, sizeof text, "bytewax: process %u: %.500s\n",
                        (unsigned)link->process_index, line);
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT)) return;
    ssize_t written = write(STDERR_FILENO, text, (size_t)size);
    (void)written;  // who is not there reads nothing
}

bw_mesh_events
bw_link_events(bw_link *link)
{
    return (bw_mesh_events){.connected = on_connected,
                            .frame = on_frame,
                            .settled = wake_receivers,
                            .failed = on_failed,
                            .broken = on_broken,
                            .ended = on_ended,
                            .say = say,
                            .self = link};
}

void
bw_link_poll(bw_link *link, uint64_t now_ns)
{
    if (link->is_over) return;
    pthread_mutex_lock(&link->lock);
    uint32_t payload_size = link->payload_size;  // once set, the payload stays as it is
    bool leaves = link->leaves;
    pthread_mutex_unlock(&link->lock);
    if (payload_size > 0) {
        link->is_over = true;
        bw_mesh_fail(link->mesh, link->payload, payload_size, now_ns);
    } else if (leaves && !link->has_left) {
        link->has_left = true;
        bw_mesh_leave(link->mesh, now_ns);
    }
}

// ---- any thread

void
bw_link_set_waiter(bw_link *link, bw_waker *waiter)
{
    pthread_mutex_lock(&link->lock);
    link->waiter = waiter;
    pthread_mutex_unlock(&link->lock);
}

bw_link_state
bw_link_state_of(bw_link *link)
{
    pthread_mutex_lock(&link->lock);
    bw_link_state state = link->state;
    pthread_mutex_unlock(&link->lock);
    return state;
}

const bw_link_failure *
bw_link_failure_of(bw_link *link)
{
    BW_ASSERT(bw_link_state_of(link) == BW_LINK_FAILED);
    return &link->failure;
}

/// With the lock held: it costs a system call at most, which does not block.
static void
wake_loop(const bw_link *link)
{
    if (link->wake != NULL) link->wake(link->wake_self);
}

void
bw_link_leave(bw_link *link)
{
    pthread_mutex_lock(&link->lock);
    link->leaves = true;
    wake_loop(link);
    pthread_mutex_unlock(&link->lock);
}

void
bw_link_fail(bw_link *link, uint32_t worker, const char *step, const char *text)
{
    if (step == NULL) step = "";
    if (text == NULL) text = "";
    const bw_link_failure failure = {.reported = true, .process = link->process_index, .worker = worker};
    pthread_mutex_lock(&link->lock);
    bool first = !is_final(link);
    if (first) {
        set_failure(link, failure, step, strlen(step), text, strlen(text));
        make_payload(link);
        wake_loop(link);
    }
    pthread_mutex_unlock(&link->lock);
    if (first) bw_board_stop(link->board);
}
