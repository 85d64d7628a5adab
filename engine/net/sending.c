#define _GNU_SOURCE  // what uv.h needs beyond C17

#include <stdlib.h>

#include "base/assert.h"
#include "net/socket_state.h"

#define WRITE_BLOCKS 256  // blocks that one write takes at most
#define WRITE_BYTES \
    ((size_t)256 * 1024)  // likewise, about: the mesh learns in such steps that there is room

typedef struct write_request {
    uv_write_t uv;
    bw_socket *socket;
    bw_block *blocks;
    size_t size;  // as the mesh counts it; 0: of TLS itself
} write_request;

void
bw_socket_note_unwritable(bw_socket *socket, int status)
{
    if (socket->is_unwritable) return;
    socket->is_unwritable = true;
    bw_error_set_errno(&socket->reason, -status);
    if (socket->state == BW_SOCKET_OPEN || socket->state == BW_SOCKET_DIALING)
        bw_socket_set_timer(socket, BW_SOCKET_CLOSING_MS);
}

static void
on_written(uv_write_t *uv, int status)
{
    write_request *request = (write_request *)uv;  // its first member
    bw_socket *socket = request->socket;
    size_t size = request->size;
    // What dialling wrote to an address that it gave up says nothing of the next one.
    bool is_past = uv->handle != (uv_stream_t *)socket->connection;  // its first member
    bw_block_free_all(request->blocks);
    free(request);
    if (status == UV_ECANCELED || is_past) return;
    if (status < 0) {
        bw_socket_note_unwritable(socket, status);
    } else if (socket->session != NULL && size > 0) {
        socket->home->is_touched = true;
        bw_mesh_written(socket->session, size, bw_socket_now_ns(socket));
    }
}

/// `size` bytes left at once. The mesh may be in the call that sent them: it hears of it later.
static void
note_sent(bw_socket *socket, size_t size)
{
    if (socket->session == NULL || size == 0) return;
    socket->sent_bytes += size;
    if (socket->is_sent) return;
    socket->is_sent = true;
    socket->next_sent = socket->home->first_sent;
    socket->home->first_sent = socket;
}

bool
bw_socket_home_tell(bw_socket_home *home)
{
    bw_socket *socket = home->first_sent;
    if (socket == NULL) return false;
    home->first_sent = NULL;
    while (socket != NULL) {
        bw_socket *next = socket->next_sent;
        size_t size = socket->sent_bytes;
        socket->sent_bytes = 0;
        socket->is_sent = false;
        if (socket->session != NULL) {
            bw_mesh_written(socket->session, size, bw_socket_now_ns(socket));
        } else {
            bw_socket_free_if_done(socket);
        }
        socket = next;
    }
    return true;
}

/// Takes `size` bytes that were sent off the front of the buffers. Returns how many of these are left.
static unsigned
skip_bytes(uv_buf_t **buffers, unsigned count, size_t size)
{
    while (count > 0 && size >= (*buffers)->len) {
        size -= (*buffers)->len;
        (*buffers)++;
        count--;
    }
    if (count > 0) {
        (*buffers)->base += size;
        (*buffers)->len -= size;
    }
    return count;
}

/// Sends `count` buffers, which lie in `blocks`; takes these over.
static void
send_buffers(bw_socket *socket, uv_buf_t *buffers, unsigned count, bw_block *blocks, size_t size)
{
    uv_stream_t *stream = (uv_stream_t *)&socket->connection->tcp;
    // Mostly there is room for all: then it takes one call of the system, and none of libuv's turns.
    int status = uv_try_write(stream, buffers, count);
    if (status > 0) count = skip_bytes(&buffers, count, (size_t)status);
    if (count == 0) {
        bw_block_free_all(blocks);
        note_sent(socket, size);
        return;
    }
    if (status > 0 || status == UV_EAGAIN) {
        write_request *request = malloc(sizeof *request);
        status = UV_ENOMEM;
        if (request != NULL) {
            *request = (write_request){.socket = socket, .blocks = blocks, .size = size};
            status = uv_write(&request->uv, stream, buffers, count, on_written);
            if (status == 0) return;
        }
        free(request);
    }
    bw_block_free_all(blocks);
    bw_socket_note_unwritable(socket, status);
}

void
bw_socket_send_sealed(bw_socket *socket, size_t size)
{
    bw_block *block;
    if (bw_tls_stream_take(socket->tls, &block) != BW_OK) {
        bw_socket_note_unwritable(socket, UV_ENOMEM);
        return;
    }
    if (block == NULL) return;
    uv_buf_t buffer = uv_buf_init((char *)block->bytes, block->size);
    send_buffers(socket, &buffer, 1, block, size);
}

static uv_buf_t
bytes_of(bw_block *block, uint32_t tail_size)
{
    return uv_buf_init((char *)block->head + BW_BLOCK_HEAD - 4, 4 + block->size + tail_size);
}

static void
write_sealed(bw_socket *socket, bw_block *first, uint32_t tail_size)
{
    size_t size = 0;
    bw_status status = BW_OK;
    for (bw_block *block = first; block != NULL && status == BW_OK; block = block->next) {
        uv_buf_t bytes = bytes_of(block, tail_size);
        status = bw_tls_stream_write(socket->tls, bytes.base, bytes.len);
        size += bytes.len;
    }
    bw_block_free_all(first);
    if (status == BW_OK) {
        bw_socket_send_sealed(socket, size);
    } else {
        bw_socket_note_unwritable(socket, UV_ENOMEM);
    }
}

static void
write_clear(bw_socket *socket, bw_block *first, uint32_t tail_size)
{
    while (first != NULL) {
        if (socket->is_unwritable) {
            bw_block_free_all(first);
            return;
        }
        uv_buf_t buffers[WRITE_BLOCKS];
        unsigned count = 0;
        size_t size = 0;
        bw_block *last = NULL;
        for (bw_block *block = first; block != NULL && count < WRITE_BLOCKS && size < WRITE_BYTES;
             block = block->next) {
            buffers[count] = bytes_of(block, tail_size);
            size += buffers[count++].len;
            last = block;
        }
        bw_block *rest = last->next;
        last->next = NULL;
        send_buffers(socket, buffers, count, first, size);
        first = rest;
    }
}

void
bw_socket_write(bw_socket *socket, bw_block *first, uint32_t tail_size)
{
    BW_ASSERT(tail_size <= BW_BLOCK_TAIL);
    if (socket->state != BW_SOCKET_OPEN || socket->is_unwritable) {
        bw_block_free_all(first);
    } else if (socket->tls != NULL) {
        BW_ASSERT(socket->is_agreed);  // the mesh doesn't know of the connection before
        write_sealed(socket, first, tail_size);
    } else {
        write_clear(socket, first, tail_size);
    }
}
