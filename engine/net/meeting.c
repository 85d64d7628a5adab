// Until all are there. All sessions must be open here, and every peer must have said by ALL that so they are there: so
// what fails from then on, everybody hears from where it failed, before he sees others go.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "net/handshake.h"
#include "net/mesh_state.h"

// ---- dialling

static void
dial(bw_mesh *mesh, uint32_t process)
{
    bw_mesh_peer *peer = &mesh->peers[process];
    bw_session *session = bw_session_new(mesh, &mesh->transport, mesh->now_ns);
    bw_status status = BW_ENOMEM;
    if (session != NULL) {
        session->state = BW_SESSION_DIALING;
        session->process = process;
        status = mesh->transport.connect(mesh->transport.self, process, session, &session->socket);
        if (status == BW_OK) {
            bw_mesh_add_session(mesh, session);
            peer->session = session;
            return;
        }
        bw_mesh_note_attempt(mesh, session, bw_status_text(status));
        bw_session_free(session);
        return;
    }
    snprintf(peer->attempt, sizeof peer->attempt, "%s", bw_status_text(status));
    peer->dial_ns = bw_time_after(mesh->now_ns, BW_MESH_DIAL_PAUSE_MOST_NS);
}

bool
bw_mesh_is_to_dial(const bw_mesh *mesh, uint32_t process)
{
    const bw_mesh_peer *peer = &mesh->peers[process];
    return process < mesh->settings->process_index && peer->session == NULL && !peer->is_open;
}

void
bw_mesh_dial_all(bw_mesh *mesh)
{
    for (uint32_t i = 0; i < mesh->settings->process_index; i++) {
        if (bw_mesh_is_to_dial(mesh, i) && mesh->now_ns >= mesh->peers[i].dial_ns) dial(mesh, i);
    }
}

// ---- handshakes

bool
bw_mesh_begin_handshake(bw_mesh *mesh, bw_session *session)
{
    uint8_t nonce[BW_NONCE_BYTES];
    if (mesh->transport.random(mesh->transport.self, nonce, sizeof nonce) != BW_OK) return false;
    session->state = BW_SESSION_SHAKING;
    bw_handshake_init(&session->handshake, mesh->settings, session->process, nonce);
    return true;
}

/// Under TLS: makes proofs good for this connection alone.
static bw_status
bind_handshake(bw_mesh *mesh, bw_session *session)
{
    const bw_transport *transport = &mesh->transport;
    if (transport->binding == NULL || session->handshake.state != BW_HANDSHAKE_NEEDS_HELLO) return BW_OK;
    return transport->binding(transport->self, session->socket, session->handshake.binding);
}

static void
connect_if_all(bw_mesh *mesh)
{
    uint32_t wanted = mesh->settings->process_count - 1;
    if (mesh->state != BW_MESH_CONNECTING || mesh->open_count < wanted || mesh->all_count < wanted)
        return;
    mesh->state = BW_MESH_CONNECTED;
    mesh->events.connected(mesh->events.self);
}

/// Every session is open here.
static void
tell_all(bw_mesh *mesh)
{
    for (bw_session *session = mesh->sessions; session != NULL; session = session->next) {
        if (session->state != BW_SESSION_OPEN) continue;
        bw_status status = bw_session_send(session, BW_FRAME_ALL, 0, NULL, 0, mesh->now_ns);
        if (status == BW_OK) continue;
        bw_mesh_give_up(mesh, session, status);
        return;
    }
    connect_if_all(mesh);
}

void
bw_mesh_take_all(bw_mesh *mesh, bw_session *session)
{
    bw_mesh_peer *peer = &mesh->peers[session->process];
    if (peer->has_all) {
        bw_mesh_blame(mesh, session, "it is connected to all twice");
        return;
    }
    peer->has_all = true;
    mesh->all_count++;
    connect_if_all(mesh);
}

static void
become_open(bw_mesh *mesh, bw_session *session)
{
    if (!bw_mesh_has_dialled(session)) mesh->unfinished_count--;
    bw_status status = bw_session_open(session, mesh->now_ns);
    if (status != BW_OK) {
        bw_mesh_give_up(mesh, session, status);
        return;
    }
    bw_mesh_peer *peer = &mesh->peers[session->process];
    peer->session = session;
    peer->is_open = true;
    mesh->open_count++;
    if (mesh->open_count == mesh->settings->process_count - 1) tell_all(mesh);
}

/// Somebody has proven to be a process that fits: lets it in, unless it is here already.
static void
answer(bw_mesh *mesh, bw_session *session)
{
    bw_handshake *handshake = &session->handshake;
    bool is_here = mesh->peers[handshake->process].is_open;
    bw_block *reply;
    if (is_here) {
        bw_error why;
        bw_error_set(&why, "process %" PRIu32 " is connected already: was a second one started?",
                     handshake->process);
        reply = bw_handshake_refuse(handshake, why.text);
    } else {
        reply = bw_handshake_accept(handshake);
    }
    bw_status status = reply == NULL ? BW_ENOMEM : bw_session_write(session, reply, mesh->now_ns);
    if (is_here) {
        bw_mesh_turn_away(mesh, session, handshake->why.text);
    } else if (status != BW_OK) {
        bw_mesh_turn_away(mesh, session, bw_status_text(status));
    } else {
        become_open(mesh, session);
    }
}

static void
fail_to_join(bw_mesh *mesh, bw_session *session)
{
    bw_error name;
    const char *why = session->handshake.why.text;
    if (bw_mesh_has_dialled(session)) {
        bw_mesh_break(mesh, "can't join %s: %s", bw_mesh_name_of(mesh, session->process, &name), why);
    } else if (mesh->state == BW_MESH_CONNECTING) {
        bw_mesh_break(mesh, "can't join the process that connected from %s: %s", session->from, why);
    } else {
        bw_mesh_turn_away(mesh, session, why);  // all are here: it is one too many, and knows why
    }
}

void
bw_mesh_take_handshake_frame(bw_mesh *mesh, bw_session *session, const bw_frame *frame)
{
    bw_status bound = bind_handshake(mesh, session);
    if (bound != BW_OK) {
        bw_mesh_turn_away(mesh, session, bw_status_text(bound));
        return;
    }
    bw_block *reply;
    bw_handshake_step step = bw_handshake_take(&session->handshake, frame, &reply);
    if (reply != NULL) {
        bw_status status = bw_session_write(session, reply, mesh->now_ns);
        BW_ASSERT(status == BW_OK);  // there is no tag to make yet
    }
    switch (step) {
    case BW_HANDSHAKE_WAITS:
        break;
    case BW_HANDSHAKE_ASKS:
        answer(mesh, session);
        break;
    case BW_HANDSHAKE_DONE:
        become_open(mesh, session);
        break;
    case BW_HANDSHAKE_STRANGER:
        bw_mesh_turn_away(mesh, session, session->handshake.why.text);
        break;
    case BW_HANDSHAKE_FAILED:
        fail_to_join(mesh, session);
        break;
    }
}

// ---- who is missing

/// Those whose sessions are not open here; if all are, those whose sessions are not all open there.
static uint32_t
count_missing(const bw_mesh *mesh)
{
    uint32_t peer_count = mesh->settings->process_count - 1;
    return peer_count - (mesh->open_count < peer_count ? mesh->open_count : mesh->all_count);
}

/// Who is not there and why, after `text`; as many as fit.
static void
list_missing(const bw_mesh *mesh, bw_error *text)
{
    const bw_net_settings *settings = mesh->settings;
    bool is_any_away = mesh->open_count < settings->process_count - 1;
    uint32_t left = count_missing(mesh);
    size_t used = strlen(text->text);
    const char *separator = "";
    for (uint32_t i = 0; i < settings->process_count; i++) {
        const bw_mesh_peer *peer = &mesh->peers[i];
        if (i == settings->process_index || (is_any_away ? peer->is_open : peer->has_all)) continue;
        if (used > sizeof text->text / 2) {
            snprintf(text->text + used, sizeof text->text - used, " and %" PRIu32 " more", left);
            return;
        }
        const char *why = peer->is_open                 ? "it is not connected to all others yet"
                          : peer->attempt[0] != '\0'    ? peer->attempt
                          : i > settings->process_index ? "it has not connected yet"
                                                        : "no answer yet";
        snprintf(text->text + used, sizeof text->text - used, "%sprocess %" PRIu32 " (%.100s): %s",
                 separator, i, settings->addresses[i], why);
        used = strlen(text->text);
        separator = ", ";
        left--;
    }
    // Whoever it was may be one of those, though it couldn't prove it. If it said which, it stands there already.
    if (mesh->turned_away[0] == '\0' || strstr(text->text, mesh->turned_away) != NULL) return;
    snprintf(text->text + used, sizeof text->text - used, "; turned away: %s", mesh->turned_away);
}

void
bw_mesh_judge_connecting(bw_mesh *mesh)
{
    const bw_net_settings *settings = mesh->settings;
    bw_error text;
    uint64_t timeout_ns = settings->connect_timeout_ns;
    if (timeout_ns > 0 && mesh->now_ns - mesh->start_ns >= timeout_ns) {
        bw_error_set(&text, "not all processes of the cluster connected within %.3g s; missing: ",
                     (double)timeout_ns / (double)BW_NS_PER_S);
        list_missing(mesh, &text);
        bw_mesh_break(mesh, "%s", text.text);
        return;
    }
    if (mesh->now_ns < mesh->missing_ns) return;
    mesh->missing_ns = bw_time_after(mesh->now_ns, BW_MESH_SAY_NS);
    bw_error_set(&text, "waiting for %" PRIu32 " of %" PRIu32 " processes: ", count_missing(mesh),
                 settings->process_count);
    list_missing(mesh, &text);
    bw_mesh_say(mesh, &text);
}
