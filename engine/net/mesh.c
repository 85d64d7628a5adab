// The life of a mesh:
//
//     IDLE ── start ──▶ CONNECTING ── all are there ──▶ CONNECTED ──▶ OVER
//                            └──────────────── failure ────────────────▲
//
// OVER: all sessions are closed; ended(), failed() or broken() was told, or bw_mesh_fail() called.
#include "net/mesh.h"

#include <stdlib.h>

#include "base/assert.h"
#include "net/handshake.h"
#include "net/mesh_state.h"

#define DIALLING_NS (60 * BW_NS_PER_S)           // what it may take to find an address and connect
#define SHAKING_NS (10 * BW_NS_PER_S)            // what a handshake may take
#define STANDSTILL_LEAST_NS (50 * BW_NS_PER_MS)  // a shorter pause is the system's, and no standstill

// ---- calls from outside

/// Silence counts only while we listened: if this process stood still, what came meanwhile is still to be read, and
/// the others may have stood still with it.
static void
forgive(bw_mesh *mesh, uint64_t gap_ns)
{
    for (bw_session *session = mesh->sessions; session != NULL; session = session->next) {
        session->heard_ns += gap_ns;
        session->record_ns = bw_time_after(session->record_ns, gap_ns);
        session->started_ns += gap_ns;
    }
}

static void
enter(bw_mesh *mesh, uint64_t now_ns)
{
    mesh->depth++;
    if (now_ns <= mesh->now_ns) return;
    uint64_t gap_ns = now_ns - mesh->now_ns;
    if (gap_ns > STANDSTILL_LEAST_NS && gap_ns > mesh->settings->silence_timeout_ns / 4) {
        forgive(mesh, gap_ns);
    }
    mesh->now_ns = now_ns;
}

static void
leave(bw_mesh *mesh)
{
    if (--mesh->depth > 0) return;
    while (mesh->closed != NULL) {
        bw_session *session = mesh->closed;
        mesh->closed = session->next;
        bw_session_free(session);
    }
}

// ---- sessions

void
bw_mesh_add_session(bw_mesh *mesh, bw_session *session)
{
    session->next = mesh->sessions;
    if (session->next != NULL) session->next->previous = session;
    mesh->sessions = session;
}

/// The transport knows it no more.
static void
drop_session(bw_mesh *mesh, bw_session *session)
{
    BW_ASSERT(session->state != BW_SESSION_CLOSED);
    if (!bw_mesh_has_dialled(session) && session->state == BW_SESSION_SHAKING) mesh->unfinished_count--;
    if (session->process != BW_PROCESS_NONE && mesh->peers[session->process].session == session) {
        mesh->peers[session->process].session = NULL;
    }
    if (session->previous != NULL) session->previous->next = session->next;
    if (session->next != NULL) session->next->previous = session->previous;
    if (mesh->sessions == session) mesh->sessions = session->next;
    session->state = BW_SESSION_CLOSED;
    session->next = mesh->closed;
    mesh->closed = session;
}

void
bw_mesh_close_session(bw_mesh *mesh, bw_session *session, bool flush)
{
    mesh->transport.close(mesh->transport.self, session->socket, flush);
    drop_session(mesh, session);
}

// ---- what comes in

static void
take_worker_frame(bw_mesh *mesh, bw_session *session, const bw_frame *frame)
{
    bw_status status = mesh->events.frame(mesh->events.self, session->process, frame);
    if (status == BW_ECORRUPT) {
        bw_error why;
        bw_error_set(&why, "a frame of kind %u that can't be right", (unsigned)frame->kind);
        bw_mesh_blame(mesh, session, why.text);
    } else if (status != BW_OK) {
        bw_mesh_give_up(mesh, session, status);
    }
}

static void
take_frame(bw_mesh *mesh, bw_session *session, const bw_frame *frame)
{
    bool is_bare = frame->flags == 0 && frame->size == 0;
    if (session->state == BW_SESSION_SHAKING) {
        bw_mesh_take_handshake_frame(mesh, session, frame);
    } else if (frame->kind == BW_FRAME_PING && is_bare) {
        // That it came is all it says.
    } else if (frame->kind == BW_FRAME_ERROR && bw_mesh_is_error(mesh, frame)) {
        bw_mesh_take_error(mesh, session, frame);
    } else if (session->has_got_bye) {
        bw_mesh_blame(mesh, session, "it goes on after its last frame");
    } else if (frame->kind == BW_FRAME_ALL && is_bare) {
        bw_mesh_take_all(mesh, session);
    } else if (frame->kind == BW_FRAME_BYE && is_bare) {
        bw_mesh_take_bye(mesh, session);
    } else if (frame->kind >= BW_FRAME_ASSIGN) {
        take_worker_frame(mesh, session, frame);
    } else {
        bw_mesh_blame(mesh, session, "a frame of no known kind");
    }
}

static void
take_nonsense(bw_mesh *mesh, bw_session *session, bw_status status, const char *why)
{
    if (session->state == BW_SESSION_SHAKING) {
        bw_mesh_turn_away(mesh, session,
                          status == BW_ECORRUPT ? "it does not speak the protocol of the cluster"
                                                : bw_status_text(status));
    } else if (status == BW_ECORRUPT) {
        bw_mesh_blame(mesh, session, why);
    } else {
        bw_mesh_give_up(mesh, session, status);
    }
}

// ---- time

/// How long one that is not open may take. Who dials may wait for the system to find a name, which has its own patience.
static uint64_t
patience_ns(const bw_session *session)
{
    return session->state == BW_SESSION_DIALING ? DIALLING_NS : SHAKING_NS;
}

/// Sends, pings and judges one session. It may be closed then, or the mesh be over.
static void
poll_session(bw_mesh *mesh, bw_session *session)
{
    uint64_t timeout_ns = mesh->settings->silence_timeout_ns, now_ns = mesh->now_ns;
    if (session->state != BW_SESSION_OPEN) {
        if (now_ns - session->started_ns < patience_ns(session)) return;
        session->has_heard = true;  // who sits there for so long is worth a line
        bw_error why;
        bw_error_set(&why, "no answer within %.0f s",
                     (double)patience_ns(session) / (double)BW_NS_PER_S);
        bw_mesh_turn_away(mesh, session, why.text);
        return;
    }
    if (now_ns - session->heard_ns >= timeout_ns) {
        bw_error name;
        bw_mesh_break(mesh, "%s is silent: nothing came from it for %.3g s",
                      bw_mesh_name_of(mesh, session->process, &name),
                      (double)timeout_ns / (double)BW_NS_PER_S);
        return;
    }
    // Its length was changed on the way to a longer one: nothing comes through, though bytes do.
    if (session->record_ns != BW_TIME_NEVER && now_ns - session->record_ns >= timeout_ns) {
        bw_mesh_blame(mesh, session, "a record that does not come to its end");
        return;
    }
    // Whatever is still with the transport is a sign of life by itself.
    if (session->in_flight == 0 && now_ns - session->sent_ns >= timeout_ns / 4) {
        bw_status status = bw_session_send(session, BW_FRAME_PING, 0, NULL, 0, now_ns);
        if (status != BW_OK) {
            bw_mesh_give_up(mesh, session, status);
            return;
        }
    }
    bw_mesh_drain(mesh, session);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t
next_poll_ns(const bw_mesh *mesh)
{
    uint64_t timeout_ns = mesh->settings->silence_timeout_ns;
    // Often enough that forgive() sees only true standstills.
    uint64_t next_ns = bw_time_after(mesh->now_ns, timeout_ns / 8);
    for (const bw_session *session = mesh->sessions; session != NULL; session = session->next) {
        if (session->state != BW_SESSION_OPEN) {
            next_ns = earlier(next_ns, bw_time_after(session->started_ns, patience_ns(session)));
            continue;
        }
        next_ns = earlier(next_ns, bw_time_after(session->heard_ns, timeout_ns));
        next_ns = earlier(next_ns, bw_time_after(session->record_ns, timeout_ns));
        if (session->in_flight > 0) continue;
        next_ns = earlier(next_ns, bw_time_after(session->sent_ns, timeout_ns / 4));
    }
    if (mesh->state != BW_MESH_CONNECTING) return next_ns;
    for (uint32_t i = 0; i < mesh->settings->process_index; i++) {
        if (bw_mesh_is_to_dial(mesh, i)) next_ns = earlier(next_ns, mesh->peers[i].dial_ns);
    }
    next_ns = earlier(next_ns, mesh->missing_ns);
    if (mesh->settings->connect_timeout_ns == 0) return next_ns;
    return earlier(next_ns, bw_time_after(mesh->start_ns, mesh->settings->connect_timeout_ns));
}

// ---- birth and death

bw_status
bw_mesh_new(const bw_net_settings *settings, const bw_transport *transport, const bw_mesh_events *events,
            void (*wake)(void *), void *wake_self, bw_mesh **out)
{
    uint32_t count = settings->process_count;
    BW_ASSERT(settings->process_index < count && settings->silence_timeout_ns > 0);
    *out = NULL;
    bw_mesh *mesh = calloc(1, sizeof *mesh + count * sizeof(bw_mesh_peer));
    if (mesh == NULL) return BW_ENOMEM;
    mesh->settings = settings;
    mesh->transport = *transport;
    mesh->events = *events;
    for (uint32_t i = 0; i < count; i++) {
        mesh->peers[i].pause_ns = BW_MESH_DIAL_PAUSE_NS;
        bw_status status = bw_outbox_init(&mesh->peers[i].outbox, wake, wake_self);
        if (status != BW_OK) {
            while (i-- > 0) bw_outbox_fini(&mesh->peers[i].outbox);
            free(mesh);
            return status;
        }
    }
    *out = mesh;
    return BW_OK;
}

void
bw_mesh_free(bw_mesh *mesh)
{
    if (mesh == NULL) return;
    BW_ASSERT(mesh->depth == 0);
    enter(mesh, mesh->now_ns);
    while (mesh->sessions != NULL) bw_mesh_close_session(mesh, mesh->sessions, false);
    leave(mesh);
    for (uint32_t i = 0; i < mesh->settings->process_count; i++) bw_outbox_fini(&mesh->peers[i].outbox);
    free(mesh);
}

// ---- what the transport calls

bw_outbox *
bw_mesh_outbox(bw_mesh *mesh, uint32_t process)
{
    BW_ASSERT(process < mesh->settings->process_count && process != mesh->settings->process_index);
    return &mesh->peers[process].outbox;
}

void
bw_mesh_start(bw_mesh *mesh, uint64_t now_ns)
{
    enter(mesh, now_ns);
    if (mesh->state == BW_MESH_IDLE) {
        mesh->state = BW_MESH_CONNECTING;
        mesh->start_ns = now_ns;
        mesh->missing_ns = bw_time_after(now_ns, BW_MESH_SAY_NS);
        if (mesh->settings->process_count == 1) {
            mesh->state = BW_MESH_CONNECTED;
            mesh->events.connected(mesh->events.self);
        } else {
            bw_mesh_dial_all(mesh);
        }
    }
    leave(mesh);
}

uint64_t
bw_mesh_poll(bw_mesh *mesh, uint64_t now_ns)
{
    if (mesh->state == BW_MESH_IDLE) return BW_TIME_NEVER;
    enter(mesh, now_ns);
    for (bw_session *session = mesh->sessions, *next; session != NULL; session = next) {
        next = session->next;
        poll_session(mesh, session);
        if (mesh->state == BW_MESH_OVER) break;
    }
    if (mesh->state == BW_MESH_CONNECTING) bw_mesh_dial_all(mesh);
    if (mesh->state == BW_MESH_CONNECTING) bw_mesh_judge_connecting(mesh);
    uint64_t next_ns = mesh->state == BW_MESH_OVER ? BW_TIME_NEVER : next_poll_ns(mesh);
    leave(mesh);
    return next_ns;
}

bw_session *
bw_mesh_accept(bw_mesh *mesh, void *socket, const char *from, uint64_t now_ns)
{
    if (mesh->state != BW_MESH_CONNECTING && mesh->state != BW_MESH_CONNECTED) return NULL;
    enter(mesh, now_ns);
    bw_session *session = bw_mesh_welcome(mesh, socket, from);
    leave(mesh);
    return session;
}

void
bw_mesh_opened(bw_session *session, uint64_t now_ns)
{
    bw_mesh *mesh = session->mesh;
    enter(mesh, now_ns);
    BW_ASSERT(session->state == BW_SESSION_DIALING);
    session->started_ns = now_ns;
    bw_block *hello = NULL;
    if (bw_mesh_begin_handshake(mesh, session)) hello = bw_handshake_start(&session->handshake);
    bw_status status = hello == NULL ? BW_ENOMEM : bw_session_write(session, hello, now_ns);
    if (status != BW_OK) bw_mesh_turn_away(mesh, session, "no memory or no random bytes to begin with");
    leave(mesh);
}

void
bw_mesh_received(bw_session *session, const uint8_t *bytes, size_t size, uint64_t now_ns)
{
    bw_mesh *mesh = session->mesh;
    enter(mesh, now_ns);
    BW_ASSERT(session->state == BW_SESSION_SHAKING || session->state == BW_SESSION_OPEN);
    bw_session_feed(session, bytes, size, now_ns);
    while (session->state != BW_SESSION_CLOSED) {
        bw_frame frame;
        const char *why = NULL;
        bw_status status = bw_session_next(session, &frame, &why);
        if (status == BW_EMPTY) break;
        if (status == BW_OK) {
            take_frame(mesh, session, &frame);
        } else {
            take_nonsense(mesh, session, status, why);
        }
    }
    if (mesh->events.settled != NULL) mesh->events.settled(mesh->events.self);
    leave(mesh);
}

void
bw_mesh_written(bw_session *session, size_t size, uint64_t now_ns)
{
    bw_mesh *mesh = session->mesh;
    enter(mesh, now_ns);
    bw_session_written(session, size, now_ns);
    if (session->state == BW_SESSION_OPEN) bw_mesh_drain(mesh, session);
    leave(mesh);
}

void
bw_mesh_closed(bw_session *session, const char *reason, uint64_t now_ns)
{
    bw_mesh *mesh = session->mesh;
    enter(mesh, now_ns);
    bool was_open = session->state == BW_SESSION_OPEN,
         was_dialling = session->state == BW_SESSION_DIALING;
    drop_session(mesh, session);
    if (!was_open) {
        // Who was dialled and hangs up without a word may be another program, or want TLS.
        bool is_mute = bw_mesh_has_dialled(session) && !was_dialling && !session->has_heard;
        bw_error why;
        bw_error_set(&why, "%s%s", reason, is_mute ? " before it said anything" : "");
        bw_mesh_note_attempt(mesh, session, why.text);
    } else if (session->has_sent_bye && session->has_got_bye) {
        bw_mesh_note_ended(mesh);
    } else {
        bw_error name;
        bw_mesh_break(mesh, "%s went away: %s", bw_mesh_name_of(mesh, session->process, &name), reason);
    }
    leave(mesh);
}

void
bw_mesh_leave(bw_mesh *mesh, uint64_t now_ns)
{
    enter(mesh, now_ns);
    if (mesh->state != BW_MESH_OVER) {
        BW_ASSERT(mesh->state == BW_MESH_CONNECTED);
        mesh->is_leaving = true;
        if (mesh->settings->process_count == 1) bw_mesh_end(mesh);
        for (bw_session *session = mesh->sessions, *next; session != NULL; session = next) {
            next = session->next;
            if (session->state == BW_SESSION_OPEN) bw_mesh_drain(mesh, session);
            if (mesh->state == BW_MESH_OVER) break;
        }
    }
    leave(mesh);
}

void
bw_mesh_fail(bw_mesh *mesh, const uint8_t *payload, uint32_t size, uint64_t now_ns)
{
    BW_ASSERT(size <= BW_MESH_FAILURE_BYTES);
    enter(mesh, now_ns);
    if (mesh->state != BW_MESH_OVER) {
        bw_mesh_pass_on_failure(mesh, mesh->settings->process_index, payload, size);
    }
    leave(mesh);
}

bool
bw_mesh_is_closed(const bw_mesh *mesh)
{
    return mesh->state == BW_MESH_OVER;
}
