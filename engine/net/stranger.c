// Those who connect, until they have proven who they are.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "net/mesh_state.h"

#define UNFINISHED_MOST 64    // handshakes with those who connected to us
#define CROWD 8               // of them from one host, of which the oldest makes room at once
#define GRACE_NS BW_NS_PER_S  // after which any other does
#define LINGER_MOST 64        // of those turned away who still hear why, in each second

// ---- handshakes that came to nothing

/// Whoever knocks as often as he likes makes one line in five seconds.
static void
say_turned_away(bw_mesh *mesh)
{
    if (mesh->now_ns < mesh->turned_away_ns) {
        mesh->turned_away_count++;
        return;
    }
    bw_error line;
    if (mesh->turned_away_count == 0) {
        bw_error_set(&line, "turned away a connection from %s", mesh->turned_away);
    } else {
        bw_error_set(&line, "turned away a connection from %s (and %" PRIu64 " before it)",
                     mesh->turned_away, mesh->turned_away_count);
    }
    mesh->turned_away_count = 0;
    mesh->turned_away_ns = bw_time_after(mesh->now_ns, BW_MESH_SAY_NS);
    bw_mesh_say(mesh, &line);
}

void
bw_mesh_note_attempt(bw_mesh *mesh, const bw_session *session, const char *why)
{
    uint32_t process = session->handshake.process;
    if (bw_mesh_has_dialled(session)) {
        bw_mesh_peer *peer = &mesh->peers[session->process];
        snprintf(peer->attempt, sizeof peer->attempt, "%s", why);
        peer->dial_ns = bw_time_after(mesh->now_ns, peer->pause_ns);
        peer->pause_ns = 2 * peer->pause_ns < BW_MESH_DIAL_PAUSE_MOST_NS ? 2 * peer->pause_ns
                                                                         : BW_MESH_DIAL_PAUSE_MOST_NS;
        return;
    }
    // Load balancers and the like look whether somebody listens, and say nothing.
    if (!session->has_heard) return;
    snprintf(mesh->turned_away, sizeof mesh->turned_away, "%s: %s", session->from, why);
    if (process < mesh->settings->process_count && !mesh->peers[process].is_open) {
        bw_mesh_peer *peer = &mesh->peers[process];
        snprintf(peer->attempt, sizeof peer->attempt, "from %s: %s", session->from, why);
    }
    say_turned_away(mesh);
}

/// Whether to let out what was said to somebody before he is closed. Each may take a second and a descriptor for that, so
/// a crowd may not.
static bool
may_linger(bw_mesh *mesh, const bw_session *session)
{
    if (!session->has_sent) return false;
    if (mesh->now_ns - mesh->linger_ns >= BW_NS_PER_S) {
        mesh->linger_ns = mesh->now_ns;
        mesh->linger_count = 0;
    }
    return mesh->linger_count++ < LINGER_MOST;
}

void
bw_mesh_turn_away(bw_mesh *mesh, bw_session *session, const char *why)
{
    bw_mesh_close_session(mesh, session, may_linger(mesh, session));
    bw_mesh_note_attempt(mesh, session, why);  // which may end the mesh
}

// ---- newcomers

static bool
is_unfinished(const bw_session *session)
{
    return session->state == BW_SESSION_SHAKING && !bw_mesh_has_dialled(session);
}

/// Those who connected from where `session` did, itself too, and have not proven themselves.
static uint32_t
count_of_host(const bw_mesh *mesh, const bw_session *session)
{
    const char *port = strrchr(session->from, ':');
    size_t size = port == NULL ? sizeof session->from : (size_t)(port - session->from) + 1;
    uint32_t count = 0;
    for (const bw_session *other = mesh->sessions; other != NULL; other = other->next) {
        count += is_unfinished(other) && strncmp(other->from, session->from, size) == 0;
    }
    return count;
}

/// Who connects, whatever he says and however often, shall not keep those out who can prove themselves. Closes the oldest of
/// the host that has most. Where none has many they may be of us, all at once: then they first have their time.
static void
make_room(bw_mesh *mesh)
{
    bw_session *oldest = NULL;
    uint32_t most = 0;
    for (bw_session *session = mesh->sessions; session != NULL; session = session->next) {
        if (!is_unfinished(session)) continue;
        uint32_t count = count_of_host(mesh, session);
        bool is_older = oldest == NULL || session->started_ns <= oldest->started_ns;
        if (count < most || (count == most && !is_older)) continue;
        oldest = session;
        most = count;
    }
    BW_ASSERT(oldest != NULL);
    if (most < CROWD && mesh->now_ns - oldest->started_ns < GRACE_NS) return;
    bw_mesh_turn_away(mesh, oldest, "it makes room for others");
}

bw_session *
bw_mesh_welcome(bw_mesh *mesh, void *socket, const char *from)
{
    if (mesh->unfinished_count >= UNFINISHED_MOST) make_room(mesh);
    if (mesh->unfinished_count >= UNFINISHED_MOST || mesh->state == BW_MESH_OVER) return NULL;
    bw_session *session = bw_session_new(mesh, &mesh->transport, mesh->now_ns);
    if (session == NULL) return NULL;
    session->socket = socket;
    snprintf(session->from, sizeof session->from, "%s", from[0] == '\0' ? "somewhere" : from);
    if (!bw_mesh_begin_handshake(mesh, session)) {
        bw_session_free(session);
        return NULL;
    }
    mesh->unfinished_count++;
    bw_mesh_add_session(mesh, session);
    return session;
}
