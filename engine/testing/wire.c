#include "testing/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "testing/check.h"
#include "testing/random.h"

// ---- what the mesh tells

static void
on_connected(void *self)
{
    ((wire_host *)self)->connected_count++;
}

static bw_status
on_frame(void *self, uint32_t process, const bw_frame *frame)
{
    wire_host *host = self;
    (void)process;
    host->frame_count++;
    host->received = realloc(host->received, host->received_size + frame->size + 1);
    CHECK(host->received != NULL);
    if (frame->size > 0) memcpy(host->received + host->received_size, frame->payload, frame->size);
    host->received_size += frame->size;
    return host->answer;
}

static void
on_failed(void *self, uint32_t process, const uint8_t *payload, uint32_t size)
{
    wire_host *host = self;
    host->failed_count++;
    host->failed_by = process;
    host->failed_size = size < sizeof host->failed ? size : sizeof host->failed;
    memcpy(host->failed, payload, host->failed_size);
}

static void
on_broken(void *self, const bw_error *error)
{
    wire_host *host = self;
    host->broken_count++;
    snprintf(host->broken, sizeof host->broken, "%s", error->text);
}

static void
on_ended(void *self)
{
    ((wire_host *)self)->ended_count++;
}

static void
on_say(void *self, const char *line)
{
    wire_host *host = self;
    host->line_count++;
    size_t used = strlen(host->lines);
    snprintf(host->lines + used, sizeof host->lines - used, "%s\n", line);
    if (host->fails_to_say) bw_mesh_fail(host->mesh, (const uint8_t *)"why", 3, host->wire->now_ns);
}

bool
wire_has_said(const wire_host *host, const char *text)
{
    return strstr(host->lines, text) != NULL;
}

// ---- what the mesh asks for

static wire_link *
add_link(wire *wire, int from, int to)
{
    CHECK(wire->link_count < WIRE_LINKS);
    wire_link *link = &wire->links[wire->link_count++];
    *link = (wire_link){.ends[0].host = from, .ends[1].host = to};
    return link;
}

static bw_status
do_connect(void *self, uint32_t process, bw_session *session, void **socket)
{
    wire_host *host = self;
    wire_link *link = add_link(host->wire, host->index, (int)process);
    // Whoever listens at the address of that process, which need not be it.
    for (uint32_t i = 0; i < host->wire->host_count; i++) {
        const wire_host *other = &host->wire->hosts[i];
        const char *at = other->settings.addresses[other->settings.process_index];
        if (strcmp(at, host->settings.addresses[process]) == 0) link->ends[1].host = (int)i;
    }
    link->ends[0].session = session;
    link->ends[0].is_opening = true;
    *socket = &link->ends[0];
    return BW_OK;
}

static void
append(wire_stream *stream, const uint8_t *bytes, size_t size)
{
    if (stream->size + size > stream->capacity) {
        stream->capacity = 2 * (stream->size + size);
        stream->bytes = realloc(stream->bytes, stream->capacity);
        CHECK(stream->bytes != NULL);
    }
    memcpy(stream->bytes + stream->size, bytes, size);
    stream->size += size;
}

static void
do_write(void *self, void *socket, bw_block *first, uint32_t tail_size)
{
    (void)self;
    wire_end *end = socket;
    CHECK(!end->sent.is_closed && !end->is_opening);
    for (bw_block *block = first, *next; block != NULL; block = next) {
        next = block->next;
        size_t size = (size_t)4 + block->size + tail_size;
        append(&end->sent, block->head + BW_BLOCK_HEAD - 4, 4);
        append(&end->sent, block->bytes, block->size + tail_size);
        end->sent.unacked += size;
        bw_block_free(block);
    }
}

static void
do_close(void *self, void *socket, bool flush)
{
    (void)self;
    wire_end *end = socket;
    CHECK(end->session != NULL);
    end->session = NULL;
    end->is_opening = false;
    end->is_flushed = flush;  // here what was written arrives in any case
    end->sent.is_closed = true;
}

static bw_status
do_random(void *self, uint8_t *bytes, size_t size)
{
    wire_host *host = self;
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)random_mix(host->wire->random++);
    return BW_OK;
}

// ---- birth and death

void
wire_init(wire *wire, uint32_t host_count)
{
    static const char *const ADDRESSES[WIRE_HOSTS] = {"alpha:1", "beta:2", "gamma:3", "delta:4"};
    CHECK(host_count <= WIRE_HOSTS);
    memset(wire, 0, sizeof *wire);
    wire->now_ns = 1000 * BW_NS_PER_S;
    wire->host_count = host_count;
    wire->stranger = "10.9.9.9:666";
    wire->piece = SIZE_MAX;
    wire->flip_link = -1;
    memcpy(wire->addresses, ADDRESSES, sizeof ADDRESSES);
    for (uint32_t i = 0; i < host_count; i++) {
        wire_host *host = &wire->hosts[i];
        host->wire = wire;
        host->index = (int)i;
        host->settings = (bw_net_settings){.process_index = i,
                                           .process_count = host_count,
                                           .workers_per_process = 2,
                                           .addresses = wire->addresses,
                                           .listen_fd = -1,
                                           .connect_timeout_ns = 300 * BW_NS_PER_S,
                                           .silence_timeout_ns = 10 * BW_NS_PER_S,
                                           .graph_hash = 0xfeed,
                                           .step_count = 5};
    }
}

void
wire_fini(wire *wire)
{
    for (uint32_t i = 0; i < wire->host_count; i++) {
        bw_mesh_free(wire->hosts[i].mesh);
        free(wire->hosts[i].received);
    }
    for (uint32_t i = 0; i < wire->link_count; i++) {
        free(wire->links[i].ends[0].sent.bytes);
        free(wire->links[i].ends[1].sent.bytes);
    }
}

void
wire_start(wire *wire, uint32_t index)
{
    wire_host *host = &wire->hosts[index];
    const bw_transport transport = {
        .connect = do_connect, .write = do_write, .close = do_close, .random = do_random, .self = host};
    const bw_mesh_events events = {.connected = on_connected,
                                   .frame = on_frame,
                                   .failed = on_failed,
                                   .broken = on_broken,
                                   .ended = on_ended,
                                   .say = on_say,
                                   .self = host};
    CHECK_EQ(bw_mesh_new(&host->settings, &transport, &events, NULL, NULL, &host->mesh), BW_OK);
    bw_mesh_start(host->mesh, wire->now_ns);
    host->poll_ns = bw_mesh_poll(host->mesh, wire->now_ns);
}

void
wire_start_all(wire *wire)
{
    for (uint32_t i = 0; i < wire->host_count; i++) wire_start(wire, i);
    wire_settle(wire);
}

void
wire_kill(wire *wire, uint32_t index)
{
    wire_host *host = &wire->hosts[index];
    bw_mesh_free(host->mesh);
    host->mesh = NULL;
    for (uint32_t i = 0; i < wire->link_count; i++) {
        wire_link *link = &wire->links[i];
        if (link->ends[0].host == (int)index || link->ends[1].host == (int)index) link->is_reset = true;
    }
}

// ---- what happens

static bool
is_awake(const wire *wire, int host)
{
    return host >= 0 && wire->hosts[host].mesh != NULL && !wire->hosts[host].is_frozen;
}

static void
tell_closed(wire *wire, wire_end *end, const char *reason)
{
    bw_session *session = end->session;
    end->session = NULL;
    end->is_opening = false;
    end->sent.is_closed = true;
    bw_mesh_closed(session, reason, wire->now_ns);
}

static bool
connect_link(wire *wire, wire_link *link)
{
    wire_end *from = &link->ends[0], *to = &link->ends[1];
    if (!from->is_opening || !is_awake(wire, from->host)) return false;
    if (wire->hosts[to->host].mesh == NULL) {
        tell_closed(wire, from, "connection refused");
        return true;
    }
    if (!is_awake(wire, to->host)) return false;
    char address[32];
    snprintf(address, sizeof address, "10.0.0.%d:999", from->host);
    from->is_opening = false;
    to->session = bw_mesh_accept(wire->hosts[to->host].mesh, to, address, wire->now_ns);
    to->sent.is_closed = to->session == NULL;
    bw_mesh_opened(from->session, wire->now_ns);
    return true;
}

static bool
deliver(wire *wire, wire_link *link, int side)
{
    wire_end *from = &link->ends[side], *to = &link->ends[1 - side];
    wire_stream *stream = &from->sent;
    if (is_awake(wire, from->host) && from->session != NULL && stream->unacked > 0 && !wire->holds_ack) {
        size_t size = stream->unacked;
        stream->unacked = 0;
        bw_mesh_written(from->session, size, wire->now_ns);
        return true;
    }
    if (!is_awake(wire, to->host) || to->session == NULL || to->is_opening) return false;
    size_t left = stream->size - stream->taken;
    if (left > 0) {
        size_t size = left < wire->piece ? left : wire->piece;
        uint8_t *copy = malloc(size);  // so that a reader beyond its end is caught
        CHECK(copy != NULL);
        memcpy(copy, stream->bytes + stream->taken, size);
        bool flips = wire->flip_link == link - wire->links && wire->flip_end == side &&
                     wire->flip_at >= stream->taken && wire->flip_at < stream->taken + size;
        if (flips) copy[wire->flip_at - stream->taken] ^= 0x10;
        stream->taken += size;
        bw_mesh_received(to->session, copy, size, wire->now_ns);
        free(copy);
        return true;
    }
    if (stream->is_closed || link->is_reset) {
        tell_closed(wire, to, link->is_reset ? "connection reset by peer" : "closed by peer");
        return true;
    }
    return false;
}

void
wire_settle(wire *wire)
{
    for (bool moved = true; moved;) {
        moved = false;
        for (uint32_t i = 0; i < wire->host_count; i++) {
            wire_host *host = &wire->hosts[i];
            if (!is_awake(wire, (int)i)) continue;
            uint64_t poll_ns = bw_mesh_poll(host->mesh, wire->now_ns);
            CHECK(poll_ns > wire->now_ns);  // else it would never sleep
            host->poll_ns = poll_ns;
        }
        for (uint32_t i = 0; i < wire->link_count; i++) {
            wire_link *link = &wire->links[i];
            if (link->is_cut) continue;
            moved |= connect_link(wire, link);
            if (link->is_mute) continue;
            moved |= deliver(wire, link, 0);
            moved |= deliver(wire, link, 1);
        }
    }
}

void
wire_pass(wire *wire, uint64_t ns)
{
    uint64_t until_ns = wire->now_ns + ns;
    for (;;) {
        wire_settle(wire);
        uint64_t next_ns = until_ns;
        for (uint32_t i = 0; i < wire->host_count; i++) {
            const wire_host *host = &wire->hosts[i];
            if (is_awake(wire, (int)i) && host->poll_ns < next_ns) next_ns = host->poll_ns;
        }
        if (next_ns >= until_ns) break;
        wire->now_ns = next_ns;
    }
    wire->now_ns = until_ns;
    wire_settle(wire);
}

wire_link *
wire_knock(wire *wire, uint32_t host)
{
    wire_link *link = add_link(wire, -1, (int)host);
    wire_end *to = &link->ends[1];
    to->session = bw_mesh_accept(wire->hosts[host].mesh, to, wire->stranger, wire->now_ns);
    return to->session == NULL ? NULL : link;
}

void
wire_say(wire_link *link, const uint8_t *bytes, size_t size)
{
    append(&link->ends[0].sent, bytes, size);
}

void
wire_send(wire *wire, uint32_t from, uint32_t to, const void *payload, uint32_t size)
{
    bw_block *block = bw_block_new((size_t)BW_FRAME_HEAD + size);
    CHECK(block != NULL);
    bw_frame_put_head(block->bytes, BW_FRAME_DATA, 0, size);
    memcpy(block->bytes + BW_FRAME_HEAD, payload, size);
    block->size = BW_FRAME_HEAD + size;
    bw_outbox_push(bw_mesh_outbox(wire->hosts[from].mesh, to), block);
}
