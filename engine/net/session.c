#include "net/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

bw_session *
bw_session_new(bw_mesh *mesh, const bw_transport *transport, uint64_t now_ns)
{
    bw_session *session = calloc(1, sizeof *session);
    if (session == NULL) return NULL;
    session->mesh = mesh;
    session->transport = transport;
    session->process = BW_PROCESS_NONE;
    session->started_ns = session->heard_ns = session->sent_ns = now_ns;
    session->record_ns = BW_TIME_NEVER;
    bw_record_reader_init(&session->reader, BW_HANDSHAKE_BYTES);
    return session;
}

void
bw_session_free(bw_session *session)
{
    bw_record_reader_fini(&session->reader);
    bw_record_writer_fini(&session->writer);
    free(session);
}

// ---- sending

bw_status
bw_session_write(bw_session *session, bw_block *first, uint64_t now_ns)
{
    BW_ASSERT(session->state == BW_SESSION_SHAKING || session->state == BW_SESSION_OPEN);
    uint64_t size = 0;
    for (bw_block *block = first; block != NULL; block = block->next) {
        bw_status status = bw_record_seal(&session->writer, block);
        if (status != BW_OK) {
            bw_block_free_all(first);
            return status;
        }
        size += bw_record_bytes(&session->writer, block);
    }
    session->in_flight += size;
    session->sent_ns = now_ns;
    session->has_sent = true;
    session->transport->write(session->transport->self, session->socket, first,
                              bw_mac_tag_bytes(&session->writer.mac));
    return BW_OK;
}

bw_status
bw_session_send(bw_session *session, bw_frame_kind kind, uint8_t flags, const uint8_t *payload,
                uint32_t size, uint64_t now_ns)
{
    bw_block *block = bw_block_new((size_t)BW_FRAME_HEAD + size);
    if (block == NULL) return BW_ENOMEM;
    bw_frame_put_head(block->bytes, kind, flags, size);
    if (size > 0) memcpy(block->bytes + BW_FRAME_HEAD, payload, size);
    block->size = BW_FRAME_HEAD + size;
    return bw_session_write(session, block, now_ns);
}

bw_status
bw_session_drain(bw_session *session, bw_outbox *outbox, uint64_t now_ns, bool *is_empty)
{
    *is_empty = false;
    while (session->in_flight < BW_SESSION_IN_FLIGHT) {
        bw_block *first = bw_outbox_take(outbox, BW_SESSION_IN_FLIGHT - session->in_flight);
        if (first == NULL) {
            *is_empty = true;
            return BW_OK;
        }
        bw_status status = bw_session_write(session, first, now_ns);
        if (status != BW_OK) return status;
    }
    return BW_OK;
}

void
bw_session_written(bw_session *session, uint64_t size, uint64_t now_ns)
{
    BW_ASSERT(size <= session->in_flight);
    session->in_flight -= size;
    session->sent_ns = now_ns;
}

// ---- receiving

void
bw_session_feed(bw_session *session, const uint8_t *bytes, size_t size, uint64_t now_ns)
{
    session->heard_ns = now_ns;
    session->has_heard = true;
    bw_record_feed(&session->reader, bytes, size);
}

bw_status
bw_session_next(bw_session *session, bw_frame *out, const char **why)
{
    if (session->frame == session->frames_end) {
        bw_status status = bw_record_next(&session->reader, &session->frame, &session->frames_end, why);
        if (status == BW_OK || !bw_record_is_under_way(&session->reader)) {
            session->record_ns = BW_TIME_NEVER;
        } else if (session->record_ns == BW_TIME_NEVER) {
            session->record_ns = session->heard_ns;
        }
        if (status != BW_OK) return status;
    }
    bw_status status = bw_frame_next(&session->frame, session->frames_end, out);
    BW_ASSERT(status != BW_EMPTY);  // a record is never empty
    // A handshake ends with a record: what follows has tags.
    bool is_whole = session->state == BW_SESSION_OPEN || session->frame == session->frames_end;
    if (status == BW_OK && is_whole) return BW_OK;
    *why = "a frame that does not fit into its record";
    return BW_ECORRUPT;
}

bw_status
bw_session_open(bw_session *session, uint64_t now_ns)
{
    BW_ASSERT(session->state == BW_SESSION_SHAKING && session->frame == session->frames_end);
    session->state = BW_SESSION_OPEN;
    session->process = session->handshake.process;
    session->heard_ns = now_ns;
    session->reader.limit = BW_RECORD_BYTES;
    if (!bw_handshake_has_keys(&session->handshake)) return BW_OK;
    uint8_t send[BW_KEY_BYTES], receive[BW_KEY_BYTES];
    bw_status status = bw_handshake_keys(&session->handshake, send, receive);
    if (status == BW_OK) status = bw_mac_init(&session->writer.mac, send);
    if (status == BW_OK) status = bw_mac_init(&session->reader.mac, receive);
    bw_crypto_cleanse(send, sizeof send);
    bw_crypto_cleanse(receive, sizeof receive);
    return status;
}
