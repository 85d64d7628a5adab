// How a mesh ends badly. What fails first wins, here and, since it is passed on, elsewhere. The payload of an ERROR
// frame:
//
//     u32 process where it failed | what bw_mesh_fail() was given there
//     text                                                               with ERROR_BROKEN: of broken() there
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "net/mesh_state.h"

#define ERROR_BROKEN 1  // the flags

#define ERROR_HEAD 4

static bw_block *
make_error(uint8_t flags, uint32_t origin, const void *payload, uint32_t size)
{
    uint32_t head = flags == ERROR_BROKEN ? 0 : ERROR_HEAD;
    bw_block *block = bw_block_new((size_t)BW_FRAME_HEAD + head + size);
    if (block == NULL) return NULL;
    bw_frame_put_head(block->bytes, BW_FRAME_ERROR, flags, head + size);
    if (head > 0) bw_put_u32(block->bytes + BW_FRAME_HEAD, origin);
    if (size > 0) memcpy(block->bytes + BW_FRAME_HEAD + head, payload, size);
    block->size = BW_FRAME_HEAD + head + size;
    return block;
}

static void
close_with_error(bw_mesh *mesh, uint8_t flags, uint32_t origin, const void *payload, uint32_t size)
{
    mesh->state = BW_MESH_OVER;
    while (mesh->sessions != NULL) {
        bw_session *session = mesh->sessions;
        if (session->state == BW_SESSION_OPEN) {
            bw_block *block = make_error(flags, origin, payload, size);
            bw_status status =
                block == NULL ? BW_ENOMEM : bw_session_write(session, block, mesh->now_ns);
            (void)status;  // the peer will see that we are gone
        }
        bw_mesh_close_session(mesh, session, session->has_sent);
    }
    for (uint32_t i = 0; i < mesh->settings->process_count; i++) bw_outbox_clear(&mesh->peers[i].outbox);
}

/// `told`: what the others are told; else the error itself.
static void
break_with(bw_mesh *mesh, const bw_error *error, const bw_error *told)
{
    if (mesh->state == BW_MESH_OVER) return;
    mesh->state = BW_MESH_OVER;
    mesh->events.broken(mesh->events.self, error);
    if (told == NULL) told = error;
    close_with_error(mesh, ERROR_BROKEN, 0, told->text, (uint32_t)strlen(told->text));
}

void
bw_mesh_break(bw_mesh *mesh, const char *format, ...)
{
    bw_error error;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error.text, sizeof error.text, format, arguments);
    va_end(arguments);
    break_with(mesh, &error, NULL);
}

const char *
bw_mesh_name_of(const bw_mesh *mesh, uint32_t process, bw_error *out)
{
    bw_error_set(out, "process %" PRIu32 " (%.200s)", process, mesh->settings->addresses[process]);
    return out->text;
}

void
bw_mesh_blame(bw_mesh *mesh, const bw_session *session, const char *why)
{
    bw_error name;
    bw_mesh_break(mesh, "%s breaks the protocol: %s", bw_mesh_name_of(mesh, session->process, &name),
                  why);
}

void
bw_mesh_give_up(bw_mesh *mesh, const bw_session *session, bw_status status)
{
    bw_error name;
    bw_mesh_break(mesh, "can't go on with %s: %s", bw_mesh_name_of(mesh, session->process, &name),
                  bw_status_text(status));
}

void
bw_mesh_pass_on_failure(bw_mesh *mesh, uint32_t origin, const uint8_t *payload, uint32_t size)
{
    close_with_error(mesh, 0, origin, payload, size);
}

bool
bw_mesh_is_error(const bw_mesh *mesh, const bw_frame *frame)
{
    if (frame->flags == ERROR_BROKEN) return frame->size < sizeof(bw_error);
    return frame->flags == 0 && frame->size >= ERROR_HEAD &&
           frame->size - ERROR_HEAD <= BW_MESH_FAILURE_BYTES &&
           bw_get_u32(frame->payload) < mesh->settings->process_count;
}

/// A peer says that the run failed, there or elsewhere. It closes behind that; the others hear it from us too, before
/// they see us go.
void
bw_mesh_take_error(bw_mesh *mesh, bw_session *session, const bw_frame *frame)
{
    uint32_t process = session->process;
    if (frame->flags == ERROR_BROKEN) {
        bw_error told, error;
        bw_error_set(&told, "%.*s", (int)frame->size, (const char *)frame->payload);
        bw_error_set(&error, "%.400s (says process %" PRIu32 ")", told.text, process);
        bw_mesh_close_session(mesh, session, false);
        break_with(mesh, &error, &told);
        return;
    }
    uint32_t origin = bw_get_u32(frame->payload);
    const uint8_t *payload = frame->payload + ERROR_HEAD;
    uint32_t size = frame->size - ERROR_HEAD;
    bw_mesh_close_session(mesh, session, false);
    mesh->state = BW_MESH_OVER;
    mesh->events.failed(mesh->events.self, origin, payload, size);
    bw_mesh_pass_on_failure(mesh, origin, payload, size);
}
