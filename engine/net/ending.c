// How a mesh ends well: BYE behind all that a process had to say, and when both sides have said it, the session is
// closed.
#include "net/mesh_state.h"

void
bw_mesh_end(bw_mesh *mesh)
{
    mesh->state = BW_MESH_OVER;
    while (mesh->sessions != NULL) bw_mesh_close_session(mesh, mesh->sessions, false);  // of strangers
    mesh->events.ended(mesh->events.self);
}

void
bw_mesh_note_ended(bw_mesh *mesh)
{
    if (++mesh->ended_count == mesh->settings->process_count - 1) bw_mesh_end(mesh);
}

static void
end_session(bw_mesh *mesh, bw_session *session)
{
    bw_mesh_close_session(mesh, session, true);
    bw_mesh_note_ended(mesh);
}

void
bw_mesh_drain(bw_mesh *mesh, bw_session *session)
{
    if (!session->has_sent_bye) {
        bool is_empty;
        bw_outbox *outbox = &mesh->peers[session->process].outbox;
        bw_status status = bw_session_drain(session, outbox, mesh->now_ns, &is_empty);
        if (status == BW_OK && mesh->is_leaving && is_empty) {
            status = bw_session_send(session, BW_FRAME_BYE, 0, NULL, 0, mesh->now_ns);
            session->has_sent_bye = true;
        }
        if (status != BW_OK) {
            bw_mesh_give_up(mesh, session, status);
            return;
        }
    }
    if (bw_session_has_ended(session)) end_session(mesh, session);
}

void
bw_mesh_take_bye(bw_mesh *mesh, bw_session *session)
{
    session->has_got_bye = true;
    if (bw_session_has_ended(session)) end_session(mesh, session);
}
