#include "net/mesh.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "testing/check.h"
#include "testing/random.h"
#include "testing/wire.h"

static const uint8_t SECRET[] = "a secret of the cluster, 32 byte";

static void
init(wire *wire, uint32_t host_count, bool has_secret)
{
    wire_init(wire, host_count);
    for (uint32_t i = 0; i < host_count && has_secret; i++) {
        wire->hosts[i].settings.secret = SECRET;
        wire->hosts[i].settings.secret_size = sizeof SECRET;
    }
}

static bool
has_got(const wire_host *host, const void *bytes, size_t size)
{
    return host->received_size == size && memcmp(host->received, bytes, size) == 0;
}

static void
leave_all(wire *wire)
{
    for (uint32_t i = 0; i < wire->host_count; i++) bw_mesh_leave(wire->hosts[i].mesh, wire->now_ns);
    wire_settle(wire);
    for (uint32_t i = 0; i < wire->host_count; i++) {
        CHECK_EQ(wire->hosts[i].ended_count, 1);
        CHECK_EQ(wire->hosts[i].broken_count + wire->hosts[i].failed_count, 0);
        CHECK(bw_mesh_is_closed(wire->hosts[i].mesh));
    }
}

static void
two_meet_talk_and_end(void)
{
    for (int has_secret = 0; has_secret < 2; has_secret++) {
        wire wire;
        init(&wire, 2, has_secret);
        wire_start_all(&wire);
        CHECK_EQ(wire.hosts[0].connected_count, 1);
        CHECK_EQ(wire.hosts[1].connected_count, 1);
        wire_send(&wire, 0, 1, "hello", 5);
        wire_send(&wire, 0, 1, "world", 5);
        wire_send(&wire, 1, 0, "!", 1);
        wire_settle(&wire);
        CHECK(has_got(&wire.hosts[1], "helloworld", 10));
        CHECK(has_got(&wire.hosts[0], "!", 1));
        leave_all(&wire);
        wire_fini(&wire);
    }
}

static void
one_process_alone_is_connected_and_ends(void)
{
    wire wire;
    init(&wire, 1, false);
    wire_start_all(&wire);
    CHECK_EQ(wire.hosts[0].connected_count, 1);
    leave_all(&wire);
    wire_fini(&wire);
}

static void
bytes_may_come_in_any_pieces(void)
{
    for (int has_secret = 0; has_secret < 2; has_secret++) {
        for (size_t piece = 1; piece < 200; piece++) {
            wire wire;
            init(&wire, 2, has_secret);
            wire.piece = piece;
            wire_start_all(&wire);
            wire_send(&wire, 0, 1, "hello", 5);
            wire_send(&wire, 0, 1, "world", 5);
            wire_send(&wire, 1, 0, "!", 1);
            wire_settle(&wire);
            CHECK(has_got(&wire.hosts[1], "helloworld", 10));
            CHECK(has_got(&wire.hosts[0], "!", 1));
            leave_all(&wire);
            wire_fini(&wire);
        }
    }
}

// ---- meeting

static void
four_meet_in_any_order(void)
{
    for (int order = 0; order < 24; order++) {
        wire wire;
        init(&wire, 4, true);
        uint32_t left[4] = {0, 1, 2, 3};
        int number = order;
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t pick = (uint32_t)number % (4 - i);
            number /= (int)(4 - i);
            wire_start(&wire, left[pick]);
            left[pick] = left[3 - i];
            wire_pass(&wire, 3 * BW_NS_PER_S);
        }
        for (uint32_t i = 0; i < 4; i++) CHECK_EQ(wire.hosts[i].connected_count, 1);
        leave_all(&wire);
        wire_fini(&wire);
    }
}

static void
nobody_is_connected_before_all_are(void)
{
    wire wire;
    init(&wire, 3, true);
    for (uint32_t i = 0; i < 3; i++) wire_start(&wire, i);
    wire.links[2].is_cut = true;
    CHECK_EQ(wire.links[2].ends[0].host, 2);
    CHECK_EQ(wire.links[2].ends[1].host, 1);
    wire_pass(&wire, 6 * BW_NS_PER_S);
    for (uint32_t i = 0; i < 3; i++) CHECK_EQ(wire.hosts[i].connected_count, 0);
    CHECK(wire_has_said(&wire.hosts[0], "waiting for 2 of 3 processes: process 1 (beta:2): it is not "
                                        "connected to all others yet, process 2"));
    wire.links[2].is_cut = false;
    wire_settle(&wire);
    for (uint32_t i = 0; i < 3; i++) CHECK_EQ(wire.hosts[i].connected_count, 1);
    leave_all(&wire);
    wire_fini(&wire);
}

static void
dialling_backs_off_to_twice_a_second(void)
{
    static const uint64_t AT_MS[] = {0, 50, 150, 350, 750, 1250, 1750, 2250, 2750, 3250};
    wire wire;
    init(&wire, 2, false);
    wire_start(&wire, 1);
    uint64_t begin_ns = wire.now_ns;
    for (uint32_t i = 0; i < sizeof AT_MS / sizeof AT_MS[0]; i++) {
        wire_settle(&wire);
        CHECK_EQ(wire.link_count, i + 1);
        CHECK_EQ(wire.now_ns - begin_ns, AT_MS[i] * BW_NS_PER_MS);
        while (wire.link_count == i + 1) wire_pass(&wire, BW_NS_PER_MS * 50);
    }
    wire_fini(&wire);
}

static void
who_is_missing_is_said_every_five_seconds(void)
{
    wire wire;
    init(&wire, 3, false);
    wire_start(&wire, 1);
    wire_pass(&wire, 4 * BW_NS_PER_S);
    CHECK_EQ(wire.hosts[1].line_count, 0);
    wire_pass(&wire, 2 * BW_NS_PER_S);
    CHECK_EQ(wire.hosts[1].line_count, 1);
    CHECK(wire_has_said(&wire.hosts[1],
                        "waiting for 2 of 3 processes: process 0 (alpha:1): connection refused, "
                        "process 2 (gamma:3): it has not connected yet"));
    wire_start(&wire, 0);
    wire_pass(&wire, 10 * BW_NS_PER_S);
    CHECK_EQ(wire.hosts[1].line_count, 3);
    CHECK(wire_has_said(&wire.hosts[1], "waiting for 1 of 3 processes: process 2"));
    wire_start(&wire, 2);
    wire_pass(&wire, 20 * BW_NS_PER_S);
    CHECK_EQ(wire.hosts[1].line_count, 3);
    CHECK_EQ(wire.hosts[1].connected_count, 1);
    wire_fini(&wire);
}

static void
who_is_not_there_in_time_is_an_error_for_all(void)
{
    wire wire;
    init(&wire, 3, false);
    for (uint32_t i = 0; i < 3; i++) wire.hosts[i].settings.connect_timeout_ns = (30 + i) * BW_NS_PER_S;
    wire_start(&wire, 0);
    wire_start(&wire, 1);
    wire_pass(&wire, 29 * BW_NS_PER_S);
    CHECK_EQ(wire.hosts[0].broken_count, 0);
    wire_pass(&wire, BW_NS_PER_S);
    CHECK_EQ(wire.hosts[0].broken_count, 1);
    CHECK(strcmp(wire.hosts[0].broken,
                 "not all processes of the cluster connected within 30 s; missing: "
                 "process 2 (gamma:3): it has not connected yet") == 0);
    CHECK_EQ(wire.hosts[1].broken_count, 1);
    CHECK(strstr(wire.hosts[1].broken, "within 30 s; missing: process 2") != NULL);
    CHECK(strstr(wire.hosts[1].broken, "(says process 0)") != NULL);
    CHECK(bw_mesh_is_closed(wire.hosts[0].mesh) && bw_mesh_is_closed(wire.hosts[1].mesh));
    wire_fini(&wire);
}

static void
zero_waits_for_ever(void)
{
    wire wire;
    init(&wire, 2, false);
    for (uint32_t i = 0; i < 2; i++) wire.hosts[i].settings.connect_timeout_ns = 0;
    wire_start(&wire, 0);
    wire_pass(&wire, 100000 * BW_NS_PER_S);
    CHECK_EQ(wire.hosts[0].broken_count, 0);
    wire_start(&wire, 1);
    wire_settle(&wire);
    CHECK_EQ(wire.hosts[0].connected_count, 1);
    wire_fini(&wire);
}

static void
who_accepts_but_does_not_answer_is_dialled_again(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start(&wire, 0);
    wire_start(&wire, 1);
    wire.links[0].is_mute = true;
    wire_pass(&wire, 9 * BW_NS_PER_S);
    CHECK_EQ(wire.link_count, 1);
    wire_pass(&wire, 2 * BW_NS_PER_S);
    CHECK_EQ(wire.link_count, 2);
    CHECK_EQ(wire.hosts[0].connected_count, 1);
    CHECK_EQ(wire.hosts[1].connected_count, 1);
    // The first, whose bytes come late, is of no more use and does no harm.
    wire.links[0].is_mute = false;
    wire_pass(&wire, 30 * BW_NS_PER_S);
    leave_all(&wire);
    wire_fini(&wire);
}

/// The system may take half a minute to find out that a server of names is dead and ask the next one.
static void
dialling_may_take_longer_than_a_handshake(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start(&wire, 0);
    wire_start(&wire, 1);
    wire.links[0].is_cut = true;
    wire_pass(&wire, 50 * BW_NS_PER_S);
    wire.links[0].is_cut = false;
    wire_settle(&wire);
    CHECK_EQ(wire.link_count, 1);
    CHECK_EQ(wire.hosts[0].connected_count, 1);
    leave_all(&wire);
    wire_fini(&wire);
}

static void
dialling_comes_to_an_end(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start(&wire, 0);
    wire_start(&wire, 1);
    wire.links[0].is_cut = true;
    wire_pass(&wire, 61 * BW_NS_PER_S);
    CHECK_EQ(wire.link_count, 2);
    CHECK_EQ(wire.hosts[1].connected_count, 1);
    wire_fini(&wire);
}

// ---- strangers, and those who do not fit

/// Host 1 fails by a text with `theirs` in it, host 0 by one with `ours`; NULL: goes on waiting.
static void
check_refused(wire *wire, const char *ours, const char *theirs)
{
    wire_start_all(wire);
    wire_host *hosts = wire->hosts;
    CHECK_EQ(hosts[0].connected_count + hosts[1].connected_count, 0);
    CHECK_EQ(hosts[1].broken_count, 1);
    if (strstr(hosts[1].broken, theirs) == NULL) {
        fprintf(stderr, "\"%s\" does not say \"%s\"\n", hosts[1].broken, theirs);
        exit(1);
    }
    CHECK_EQ(hosts[0].broken_count, ours != NULL);
    if (ours != NULL && strstr(hosts[0].broken, ours) == NULL) {
        fprintf(stderr, "\"%s\" does not say \"%s\"\n", hosts[0].broken, ours);
        exit(1);
    }
}

static void
wrong_secret_fails_who_dials_and_nobody_else(void)
{
    wire wire;
    init(&wire, 3, true);
    wire.hosts[1].settings.secret = (const uint8_t *)"another secret";
    wire.hosts[1].settings.secret_size = 14;
    check_refused(&wire, NULL,
                  "can't join process 0 (alpha:1): it refused this process: the secrets of the "
                  "cluster differ: process 1 does not know that of process 0");
    CHECK(wire_has_said(&wire.hosts[0], "turned away a connection from 10.0.0.1:999: the secrets"));
    wire_pass(&wire, 6 * BW_NS_PER_S);  // and who waits for it is told of the attempt
    CHECK(wire_has_said(&wire.hosts[0],
                        "process 1 (beta:2): from 10.0.0.1:999: the secrets of the cluster"));
    wire_fini(&wire);
}

static void
no_secret_is_a_wrong_one(void)
{
    wire wire;
    init(&wire, 2, true);
    wire.hosts[1].settings.secret_size = 0;
    check_refused(&wire, NULL,
                  "process 1 is set up with neither secret nor TLS, process 0 with a secret");
    wire_fini(&wire);
    init(&wire, 2, true);
    wire.hosts[0].settings.secret_size = 0;
    check_refused(&wire, "process 0 is set up with neither", "process 0 with neither secret nor TLS");
    wire_fini(&wire);
}

static void
mismatch_fails_both_sides(void)
{
    for (int has_secret = 0; has_secret < 2; has_secret++) {
        wire wire;
        init(&wire, 2, has_secret);
        wire.hosts[1].settings.process_count = 3;
        wire.hosts[1].settings.addresses = (const char *const[]){"alpha:1", "beta:2", "gamma:3"};
        check_refused(
            &wire, "can't join the process that connected from 10.0.0.1:999: the process counts differ",
            "process 0 knows of 2, process 1 of 3");
        wire_fini(&wire);
        init(&wire, 2, has_secret);
        wire.hosts[1].settings.workers_per_process = 9;
        check_refused(&wire, "process 0 runs 2, process 1 runs 9", "process 0 runs 2, process 1 runs 9");
        wire_fini(&wire);
        init(&wire, 2, has_secret);
        wire.hosts[1].settings.graph_hash = 1;
        check_refused(&wire, "the dataflows differ", "the dataflows differ");
        wire_fini(&wire);
    }
}

static void
lists_of_addresses_that_differ_are_told(void)
{
    wire wire;
    init(&wire, 3, true);
    wire.hosts[2].settings.addresses = (const char *const[]){"beta:2", "alpha:1", "gamma:3"};
    wire_start_all(&wire);
    for (uint32_t i = 0; i < 3; i++) CHECK_EQ(wire.hosts[i].broken_count, 1);
    CHECK(strstr(wire.hosts[2].broken, "process 2 dialled process") != NULL);
    CHECK(strstr(wire.hosts[2].broken, "their lists of addresses differ") != NULL);
    wire_fini(&wire);
}

static void
second_process_of_an_index_fails_alone(void)
{
    for (int connected = 0; connected < 2; connected++) {
        wire wire;
        init(&wire, 4, true);
        uint32_t count = connected ? 2 : 4;
        for (uint32_t i = 0; i < 4; i++) wire.hosts[i].settings.process_count = count;
        wire_start(&wire, 0);
        wire_start(&wire, 1);
        wire_settle(&wire);
        CHECK_EQ(wire.hosts[0].connected_count, connected);
        // Host 2 says that it is process 1 too; it listens elsewhere.
        wire.hosts[2].settings.process_index = 1;
        wire.hosts[2].settings.addresses =
            (const char *const[]){"alpha:1", "other:7", "gamma:3", "delta:4"};
        wire_start(&wire, 2);
        wire_pass(&wire, BW_NS_PER_S);
        CHECK_EQ(wire.hosts[2].broken_count, 1);
        CHECK(strstr(wire.hosts[2].broken, "process 1 is connected already") != NULL);
        CHECK_EQ(wire.hosts[0].broken_count + wire.hosts[1].broken_count, 0);
        if (connected) {
            wire_send(&wire, 1, 0, "alive", 5);
            wire_settle(&wire);
            CHECK(has_got(&wire.hosts[0], "alive", 5));
        }
        wire_fini(&wire);
    }
}

static void
scanners_get_no_answer_and_do_no_harm(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start(&wire, 0);
    random_state random = {.state = 1};
    for (int i = 0; i < 2000; i++) {
        wire.link_count = 0;  // of their like there is no end
        wire_link *link = wire_knock(&wire, 0);
        CHECK(link != NULL);
        uint8_t bytes[300];
        uint32_t size = random_between(&random, 4, sizeof bytes);
        for (uint32_t k = 0; k < size; k++) bytes[k] = (uint8_t)random_next(&random);
        if (i % 4 == 0) bw_put_u32(bytes, size - 4);  // a record by its length
        if (i % 8 == 0 && size > 12) bw_frame_put_head(bytes + 4, BW_FRAME_HELLO, 0, size - 12);
        wire_say(link, bytes, size);
        wire_settle(&wire);
        CHECK_EQ(link->ends[1].sent.size, 0);
        if (link->ends[1].session == NULL) {
            CHECK(link->ends[1].sent.is_closed);
        } else {
            link->ends[0].sent.is_closed = true;  // it seemed to begin a long record
            wire_settle(&wire);
        }
        free(link->ends[0].sent.bytes);
        wire.now_ns += BW_NS_PER_MS;
    }
    wire.link_count = 0;
    CHECK_EQ(wire.hosts[0].broken_count, 0);
    CHECK(wire_has_said(&wire.hosts[0], "turned away a connection from 10.9.9.9:666"));
    CHECK(wire.hosts[0].line_count <= 2);  // in two seconds
    wire_start(&wire, 1);
    wire_settle(&wire);
    CHECK_EQ(wire.hosts[0].connected_count, 1);
    wire_fini(&wire);
}

static void
who_looks_whether_somebody_listens_makes_no_line(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start(&wire, 0);
    wire_link *link = wire_knock(&wire, 0);
    link->ends[0].sent.is_closed = true;
    wire_settle(&wire);
    CHECK(link->ends[1].session == NULL);
    CHECK_EQ(wire.hosts[0].line_count, 0);
    wire_fini(&wire);
}

static void
crowd_that_is_turned_away_holds_few_connections(void)
{
    wire wire;
    init(&wire, 2, true);
    wire.hosts[1].settings.secret = (const uint8_t *)"another secret";
    wire.hosts[1].settings.secret_size = 14;
    wire_start_all(&wire);
    size_t size = wire.links[0].ends[0].sent.size;
    CHECK(wire.links[0].ends[1].is_flushed);
    unsigned flushed_count = 0;
    for (int i = 0; i < 200; i++) {
        wire_link *link = wire_knock(&wire, 0);
        wire_say(link, wire.links[0].ends[0].sent.bytes, size);  // a HELLO that is well-formed
        wire_settle(&wire);
        CHECK(link->ends[1].session == NULL);
        flushed_count += link->ends[1].is_flushed;
    }
    CHECK_EQ(flushed_count, 63);
    wire_pass(&wire, BW_NS_PER_S);
    wire_link *link = wire_knock(&wire, 0);
    wire_say(link, wire.links[0].ends[0].sent.bytes, size);
    wire_settle(&wire);
    CHECK(link->ends[1].is_flushed);
    link = wire_knock(&wire, 0);
    wire_say(link, (const uint8_t *)"GET / HTTP/1.1", 14);  // nothing was said to it
    wire_settle(&wire);
    CHECK(link->ends[1].session == NULL && !link->ends[1].is_flushed);
    wire_fini(&wire);
}

/// Strangers with the begin of a record, or nothing, to say. Each from a port of one host, or from hosts of four ports each.
static void
knock_often(wire *wire, int count, bool from_one_host, bool says_something)
{
    static const uint8_t ONE[] = {12};
    char from[32];
    wire->stranger = from;
    for (int i = 0; i < count; i++) {
        snprintf(from, sizeof from, "10.9.9.%d:%d", from_one_host ? 9 : i / 4, i);
        wire_link *link = wire_knock(wire, 0);
        CHECK(link != NULL);
        if (says_something) wire_say(link, ONE, sizeof ONE);
    }
    wire->stranger = "10.9.9.9:666";
    wire_settle(wire);
}

static uint32_t
count_open(const wire *wire)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < wire->link_count; i++) count += wire->links[i].ends[1].session != NULL;
    return count;
}

static void
unfinished_handshakes_are_few_and_short(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start(&wire, 0);
    knock_often(&wire, 64, false, true);
    CHECK(wire_knock(&wire, 0) == NULL);
    wire_pass(&wire, BW_NS_PER_S);
    CHECK(wire_knock(&wire, 0) != NULL);  // in the place of the first
    CHECK_EQ(count_open(&wire), 64);
    wire_pass(&wire, 10 * BW_NS_PER_S);
    CHECK_EQ(count_open(&wire), 0);
    // Those who have proven themselves do not count.
    wire_start(&wire, 1);
    wire_settle(&wire);
    CHECK_EQ(wire.hosts[0].connected_count, 1);
    knock_often(&wire, 64, false, false);
    CHECK(wire_knock(&wire, 0) == NULL);
    CHECK_EQ(count_open(&wire), 65);
    wire_fini(&wire);
}

static void
crowd_from_one_host_keeps_nobody_out(void)
{
    for (int says_something = 0; says_something < 2; says_something++) {
        wire wire;
        init(&wire, 2, true);
        wire_start(&wire, 0);
        knock_often(&wire, 64, true, says_something);
        wire_start(&wire, 1);
        wire_settle(&wire);
        CHECK_EQ(wire.hosts[0].connected_count, 1);
        knock_often(&wire, 64, true, says_something);
        CHECK_EQ(count_open(&wire), 65);
        CHECK_EQ(wire.hosts[0].line_count, says_something);
        wire_fini(&wire);
    }
}

static void
crowd_makes_room_and_not_who_came_alone(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start(&wire, 0);
    wire.stranger = "10.1.1.1:1";
    const wire_link *alone = wire_knock(&wire, 0);
    knock_often(&wire, 100, true, true);
    CHECK(alone->ends[1].session != NULL);
    CHECK_EQ(count_open(&wire), 64);
    wire_fini(&wire);
}

static void
strangers_of_many_hosts_keep_nobody_out_for_long(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start(&wire, 0);
    knock_often(&wire, 64, false, true);
    wire_start(&wire, 1);  // is turned away at first
    wire_settle(&wire);
    CHECK_EQ(wire.hosts[0].connected_count, 0);
    wire_pass(&wire, BW_NS_PER_S * 2);
    CHECK_EQ(wire.hosts[0].connected_count, 1);
    wire_fini(&wire);
}

/// Copies what end `side` of link 0 has sent so far; to be freed.
static uint8_t *
copy_sent(const wire *wire, int side, size_t *size)
{
    const wire_stream *sent = &wire->links[0].ends[side].sent;
    *size = sent->size;
    uint8_t *copy = malloc(*size);
    CHECK(copy != NULL);
    memcpy(copy, sent->bytes, *size);
    return copy;
}

static void
handshake_that_was_recorded_opens_nothing(void)
{
    wire wire;
    init(&wire, 3, true);
    wire_start(&wire, 0);
    wire_start(&wire, 1);
    wire_settle(&wire);
    size_t size;
    uint8_t *recorded = copy_sent(&wire, 0, &size);
    CHECK_EQ(size, 2 * 12 + 76 + 32);
    wire_kill(&wire, 0);
    // In its place another process 0, with other random bytes.
    free(wire.hosts[0].received);
    wire.hosts[0] = (wire_host){.wire = &wire, .settings = wire.hosts[0].settings};
    wire_start(&wire, 0);
    wire_link *link = wire_knock(&wire, 0);
    wire_say(link, recorded, size);
    wire_settle(&wire);
    CHECK(link->ends[1].session == NULL);
    CHECK_EQ(wire.hosts[0].broken_count, 0);
    CHECK(wire_has_said(&wire.hosts[0], "the secrets of the cluster differ"));
    free(recorded);
    wire_fini(&wire);
}

static void
changed_byte_of_a_handshake_opens_nothing(void)
{
    for (int side = 0; side < 2; side++) {
        for (size_t at = 0; at < 2 * 12 + 76 + 32; at++) {
            wire wire;
            init(&wire, 2, true);
            wire.flip_link = 0;
            wire.flip_end = side;
            wire.flip_at = at;
            wire_start_all(&wire);
            // Who sends the last proof cannot know that it arrived.
            bool may_open = side == 1 && at >= 12 + 76;
            CHECK_EQ(wire.hosts[1].connected_count, 0);
            CHECK(wire.hosts[0].connected_count == 0 || may_open);
            // A second attempt, if the first was a stranger's, succeeds. In any case it ends.
            wire_pass(&wire, 15 * BW_NS_PER_S);
            CHECK(wire.hosts[1].connected_count == 1 || wire.hosts[1].broken_count == 1 ||
                  (may_open && wire.hosts[0].broken_count == 1));
            CHECK_EQ(wire.hosts[0].frame_count + wire.hosts[1].frame_count, 0);
            if (!may_open && wire.hosts[1].broken_count == 1) CHECK_EQ(wire.hosts[0].broken_count, 0);
            wire_fini(&wire);
        }
    }
}

// ---- what an open peer may do wrong

static void
changed_byte_of_a_record_is_never_passed_on(void)
{
    for (size_t at = 0; at < 4 + 8 + 20 + 16; at++) {
        wire wire;
        init(&wire, 2, true);
        wire_start_all(&wire);
        wire.flip_link = 0;
        wire.flip_end = 0;
        wire.flip_at = wire.links[0].ends[0].sent.size + at;
        wire_send(&wire, 1, 0, "twenty bytes of data", 20);
        wire_settle(&wire);
        CHECK_EQ(wire.hosts[0].frame_count, 0);
        wire_pass(&wire, 11 * BW_NS_PER_S);  // of a longer length it waits for the rest
        CHECK_EQ(wire.hosts[0].broken_count, 1);
        CHECK(strstr(wire.hosts[0].broken, "process 1 (beta:2) breaks the protocol: a record") != NULL);
        CHECK_EQ(wire.hosts[1].broken_count, 1);
        CHECK(strstr(wire.hosts[1].broken, "(says process 0)") != NULL);
        CHECK_EQ(wire.hosts[0].frame_count, 0);
        wire_fini(&wire);
    }
}

static void
record_that_was_recorded_is_refused(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start_all(&wire);
    size_t before = wire.links[0].ends[0].sent.size, after;
    wire_send(&wire, 1, 0, "pay me", 6);
    wire_settle(&wire);
    uint8_t *recorded = copy_sent(&wire, 0, &after);
    wire_say(&wire.links[0], recorded + before, after - before);
    wire_settle(&wire);
    CHECK(has_got(&wire.hosts[0], "pay me", 6));
    CHECK(strstr(wire.hosts[0].broken,
                 "process 1 (beta:2) breaks the protocol: a record whose tag is wrong") != NULL);
    free(recorded);
    wire_fini(&wire);
}

/// Without a secret the test can play process 1: the handshake of one run opens another. Says then what is in `bytes`
/// and checks of what host 0 complains.
static void
check_complaint(const uint8_t *bytes, size_t size, const char *complaint)
{
    wire wire;
    init(&wire, 3, false);
    wire_start(&wire, 0);
    wire_start(&wire, 1);
    wire_settle(&wire);
    size_t hello_size;
    uint8_t *hello = copy_sent(&wire, 0, &hello_size);
    wire_fini(&wire);

    init(&wire, 2, false);
    for (uint32_t i = 0; i < 2; i++) wire.hosts[i].settings.process_count = 3;
    wire_start(&wire, 0);
    wire_link *link = wire_knock(&wire, 0);
    wire_say(link, hello, hello_size);
    wire_settle(&wire);
    CHECK(link->ends[1].session != NULL);
    wire_say(link, bytes, size);
    wire_settle(&wire);
    CHECK(link->ends[1].session == NULL);
    CHECK_EQ(wire.hosts[0].broken_count, 1);
    if (strstr(wire.hosts[0].broken, complaint) == NULL) {
        fprintf(stderr, "\"%s\" does not say \"%s\"\n", wire.hosts[0].broken, complaint);
        exit(1);
    }
    free(hello);
    wire_fini(&wire);
}

static void
complain_of_frame(bw_frame_kind kind, uint8_t flags, uint32_t size, const char *complaint)
{
    static uint8_t bytes[12 + 100000];
    bw_put_u32(bytes, 8 + size);
    bw_frame_put_head(bytes + 4, kind, flags, size);
    memset(bytes + 12, 0xff, size);
    check_complaint(bytes, 12 + size, complaint);
}

static void
nonsense_of_an_open_peer_is_named(void)
{
    uint8_t bytes[64] = {0};
    bw_put_u32(bytes, UINT32_MAX);
    check_complaint(bytes, 4, "process 1 (beta:2) breaks the protocol: a record that is too long");
    bw_put_u32(bytes, 0);
    check_complaint(bytes, 4, "an empty record");
    bw_put_u32(bytes, 3);
    check_complaint(bytes, 7, "a frame that does not fit into its record");
    bw_put_u32(bytes, 8);
    bw_frame_put_head(bytes + 4, BW_FRAME_DATA, 0, 1);
    check_complaint(bytes, 12, "a frame that does not fit into its record");
    complain_of_frame(0, 0, 0, "a frame of no known kind");
    complain_of_frame(BW_FRAME_HELLO, 0, 76, "a frame of no known kind");
    complain_of_frame(BW_FRAME_AUTH, 0, 0, "a frame of no known kind");
    complain_of_frame(15, 0, 0, "a frame of no known kind");
    complain_of_frame(BW_FRAME_PING, 0, 1, "a frame of no known kind");
    complain_of_frame(BW_FRAME_PING, 1, 0, "a frame of no known kind");
    complain_of_frame(BW_FRAME_BYE, 0, 1, "a frame of no known kind");
    complain_of_frame(BW_FRAME_ALL, 0, 1, "a frame of no known kind");
    complain_of_frame(BW_FRAME_ERROR, 0, 3, "a frame of no known kind");
    complain_of_frame(BW_FRAME_ERROR, 0, 4, "a frame of no known kind");  // of process 2^32 - 1
    complain_of_frame(BW_FRAME_ERROR, 0, 70000, "a frame of no known kind");
    complain_of_frame(BW_FRAME_ERROR, 2, 8, "a frame of no known kind");
    complain_of_frame(BW_FRAME_ERROR, 1, 480, "a frame of no known kind");
    complain_of_frame(BW_FRAME_ERROR, 1, 3, "(says process 1)");
    bw_put_u32(bytes, 16);
    bw_frame_put_head(bytes + 4, BW_FRAME_BYE, 0, 0);
    bw_frame_put_head(bytes + 12, BW_FRAME_DATA, 0, 0);
    check_complaint(bytes, 20, "it goes on after its last frame");
    bw_frame_put_head(bytes + 4, BW_FRAME_ALL, 0, 0);
    bw_frame_put_head(bytes + 12, BW_FRAME_ALL, 0, 0);
    check_complaint(bytes, 20, "it is connected to all twice");
}

static void
frame_that_is_not_taken_ends_the_mesh(void)
{
    static const bw_status ANSWERS[] = {BW_ECORRUPT, BW_ENOMEM};
    static const char *const TEXTS[] = {
        "process 1 (beta:2) breaks the protocol: a frame of kind 18 that can't be right",
        "can't go on with process 1 (beta:2): out of memory"};
    for (int i = 0; i < 2; i++) {
        wire wire;
        init(&wire, 2, true);
        wire_start_all(&wire);
        wire.hosts[0].answer = ANSWERS[i];
        wire_send(&wire, 1, 0, "a", 1);
        wire_send(&wire, 1, 0, "b", 1);
        wire_settle(&wire);
        CHECK_EQ(wire.hosts[0].frame_count, 1);
        CHECK(strcmp(wire.hosts[0].broken, TEXTS[i]) == 0);
        CHECK_EQ(wire.hosts[1].broken_count, 1);
        wire_fini(&wire);
    }
}

// ---- silence

static void
idle_peers_stay_together(void)
{
    wire wire;
    init(&wire, 3, true);
    wire_start_all(&wire);
    wire_pass(&wire, 1000 * BW_NS_PER_S);
    for (uint32_t i = 0; i < 3; i++) CHECK_EQ(wire.hosts[i].broken_count, 0);
    // A ping of 4 + 8 + 16 bytes each 2.5 s, no more.
    size_t sent = wire.links[0].ends[0].sent.size - (2 * 12 + 76 + 32);
    CHECK(sent >= 399 * 28 && sent <= 401 * 28);
    leave_all(&wire);
    wire_fini(&wire);
}

static void
cut_cable_is_noticed_in_time_on_both_sides(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start_all(&wire);
    wire_pass(&wire, 60 * BW_NS_PER_S);
    wire.links[0].is_cut = true;
    wire_pass(&wire, 7 * BW_NS_PER_S);
    CHECK_EQ(wire.hosts[0].broken_count + wire.hosts[1].broken_count, 0);
    wire_pass(&wire, 3100 * BW_NS_PER_MS);
    CHECK(strcmp(wire.hosts[0].broken, "process 1 (beta:2) is silent: nothing came from it for 10 s") ==
          0);
    CHECK(strcmp(wire.hosts[1].broken, "process 0 (alpha:1) is silent: nothing came from it for 10 s") ==
          0);
    wire_fini(&wire);
}

static void
short_standstill_of_a_peer_is_forgiven_a_long_one_not(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start_all(&wire);
    wire.hosts[1].is_frozen = true;
    wire_pass(&wire, 9 * BW_NS_PER_S);
    wire.hosts[1].is_frozen = false;
    wire_pass(&wire, 100 * BW_NS_PER_S);
    CHECK_EQ(wire.hosts[0].broken_count + wire.hosts[1].broken_count, 0);
    wire.hosts[1].is_frozen = true;
    wire_pass(&wire, 11 * BW_NS_PER_S);
    CHECK(strstr(wire.hosts[0].broken, "process 1 (beta:2) is silent") != NULL);
    wire.hosts[1].is_frozen = false;
    wire_settle(&wire);
    CHECK(strcmp(wire.hosts[1].broken, "process 1 (beta:2) is silent: nothing came from it for 10 s "
                                       "(says process 0)") == 0);
    wire_fini(&wire);
}

static void
time_in_which_a_process_stood_still_is_not_the_others_silence(void)
{
    // The poll after it comes before anything is read.
    wire wire;
    init(&wire, 2, true);
    wire_start_all(&wire);
    wire.hosts[0].is_frozen = wire.hosts[1].is_frozen = true;
    wire_pass(&wire, 1000 * BW_NS_PER_S);
    wire.hosts[0].is_frozen = wire.hosts[1].is_frozen = false;
    wire_pass(&wire, 100 * BW_NS_PER_S);
    CHECK_EQ(wire.hosts[0].broken_count + wire.hosts[1].broken_count, 0);
    leave_all(&wire);
    wire_fini(&wire);
}

static void
silence_is_noticed_however_short_the_timeout(void)
{
    wire wire;
    init(&wire, 2, true);
    for (uint32_t i = 0; i < 2; i++) wire.hosts[i].settings.silence_timeout_ns = BW_NS_PER_MS;
    wire_start_all(&wire);
    CHECK_EQ(wire.hosts[0].connected_count, 1);
    wire.links[0].is_cut = true;
    // A loop is not woken more often.
    for (int i = 0; i < 10; i++) {
        wire.now_ns += BW_NS_PER_MS;
        wire_settle(&wire);
    }
    for (uint32_t i = 0; i < 2; i++) CHECK(strstr(wire.hosts[i].broken, "is silent") != NULL);
    wire_fini(&wire);
}

static void
any_byte_is_a_sign_of_life(void)
{
    wire wire;
    init(&wire, 2, false);
    wire_start_all(&wire);
    // A long record comes slowly: its sender has nothing else with the transport, so no ping.
    uint8_t bytes[4] = {0};
    bw_put_u32(bytes, 8 + 8);
    wire.hosts[1].is_frozen = true;
    wire_say(&wire.links[0], bytes, 4);
    wire_settle(&wire);
    for (int i = 0; i < 6; i++) {
        wire_pass(&wire, 1500 * BW_NS_PER_MS);
        wire_say(&wire.links[0], bytes, 1);
        wire_settle(&wire);
    }
    wire_pass(&wire, 900 * BW_NS_PER_MS);
    CHECK_EQ(wire.hosts[0].broken_count, 0);
    // But it must come to its end.
    wire_pass(&wire, 200 * BW_NS_PER_MS);
    CHECK(strstr(wire.hosts[0].broken, "a record that does not come to its end") != NULL);
    wire_fini(&wire);
}

// ---- failure

static void
peer_that_is_killed_is_named_at_once(void)
{
    for (uint32_t victim = 0; victim < 3; victim++) {
        wire wire;
        init(&wire, 3, true);
        wire_start_all(&wire);
        wire_kill(&wire, victim);
        wire_settle(&wire);
        char name[80];
        snprintf(name, sizeof name, "process %u (%s) went away: connection reset by peer",
                 (unsigned)victim, wire.addresses[victim]);
        for (uint32_t i = 0; i < 3; i++) {
            if (i == victim) continue;
            CHECK_EQ(wire.hosts[i].broken_count, 1);
            CHECK(strstr(wire.hosts[i].broken, name) != NULL);
            CHECK(bw_mesh_is_closed(wire.hosts[i].mesh));
        }
        wire_fini(&wire);
    }
}

static void
peer_that_is_killed_while_others_are_missing_is_named(void)
{
    wire wire;
    init(&wire, 3, true);
    wire_start(&wire, 0);
    wire_start(&wire, 1);
    wire_settle(&wire);
    wire_kill(&wire, 0);
    wire_settle(&wire);
    CHECK(strstr(wire.hosts[1].broken, "process 0 (alpha:1) went away") != NULL);
    wire_fini(&wire);
}

static void
failure_reaches_all_with_its_origin(void)
{
    wire wire;
    init(&wire, 3, true);
    wire_start_all(&wire);
    wire.links[1].is_cut = true;  // 0 and 2
    CHECK_EQ(wire.links[1].ends[0].host, 2);
    CHECK_EQ(wire.links[1].ends[1].host, 0);
    bw_mesh_fail(wire.hosts[0].mesh, (const uint8_t *)"why", 3, wire.now_ns);
    CHECK(bw_mesh_is_closed(wire.hosts[0].mesh));
    wire_settle(&wire);
    for (uint32_t i = 1; i < 3; i++) {
        CHECK_EQ(wire.hosts[i].failed_count, 1);
        CHECK_EQ(wire.hosts[i].failed_by, 0);
        CHECK_EQ(wire.hosts[i].failed_size, 3);
        CHECK(memcmp(wire.hosts[i].failed, "why", 3) == 0);
        CHECK_EQ(wire.hosts[i].broken_count, 0);
    }
    CHECK_EQ(wire.hosts[0].failed_count + wire.hosts[0].broken_count, 0);
    // What follows counts no more.
    bw_mesh_fail(wire.hosts[1].mesh, (const uint8_t *)"later", 5, wire.now_ns);
    bw_mesh_leave(wire.hosts[1].mesh, wire.now_ns);
    wire_settle(&wire);
    CHECK_EQ(wire.hosts[2].failed_count, 1);
    wire_fini(&wire);
}

static void
failure_while_some_are_missing_reaches_those_who_are_there(void)
{
    wire wire;
    init(&wire, 3, true);
    wire.hosts[2].settings.connect_timeout_ns = 30 * BW_NS_PER_S;
    wire_start(&wire, 0);
    wire_start(&wire, 1);
    wire_settle(&wire);
    bw_mesh_fail(wire.hosts[1].mesh, NULL, 0, wire.now_ns);
    wire_settle(&wire);
    CHECK_EQ(wire.hosts[0].failed_by, 1);
    CHECK_EQ(wire.hosts[0].failed_size, 0);
    wire_start(&wire, 2);  // finds nobody
    wire_pass(&wire, 31 * BW_NS_PER_S);
    CHECK_EQ(wire.hosts[2].broken_count, 1);
    wire_fini(&wire);
}

static void
send_much(wire *wire, uint32_t from, uint32_t to, int count)
{
    static uint8_t payload[60000];
    for (int i = 0; i < count; i++) wire_send(wire, from, to, payload, sizeof payload);
}

static void
error_overtakes_what_waits(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start_all(&wire);
    wire.holds_ack = true;
    send_much(&wire, 0, 1, 100);
    wire_settle(&wire);
    bw_mesh_fail(wire.hosts[0].mesh, (const uint8_t *)"why", 3, wire.now_ns);
    wire_settle(&wire);
    CHECK_EQ(wire.hosts[1].failed_count, 1);
    CHECK(wire.hosts[1].frame_count <= 18);  // about a mebibyte of 60,000 bytes each
    wire_fini(&wire);
}

static void
little_is_with_the_transport_and_all_arrives(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start_all(&wire);
    wire.holds_ack = true;
    send_much(&wire, 0, 1, 100);
    wire_settle(&wire);
    wire_stream *sent = &wire.links[0].ends[1].sent;
    CHECK(sent->unacked >= 1u << 20);
    CHECK(sent->unacked <= (1u << 20) + 61000);
    wire_pass(&wire, 5 * BW_NS_PER_S);  // nor does a ping go where nothing moves
    CHECK(sent->unacked <= (1u << 20) + 61000);
    wire.holds_ack = false;
    wire_settle(&wire);
    CHECK_EQ(wire.hosts[1].frame_count, 100);
    wire_fini(&wire);
}

// ---- ends

static void
last_frames_go_before_the_end(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start_all(&wire);
    send_much(&wire, 0, 1, 100);
    bw_mesh_leave(wire.hosts[0].mesh, wire.now_ns);
    wire_settle(&wire);
    CHECK_EQ(wire.hosts[1].frame_count, 100);
    CHECK_EQ(wire.hosts[0].ended_count + wire.hosts[1].ended_count, 0);
    wire_pass(&wire, 100 * BW_NS_PER_S);  // who has ended still shows that it lives
    wire_send(&wire, 1, 0, "late", 4);
    bw_mesh_leave(wire.hosts[1].mesh, wire.now_ns);
    wire_settle(&wire);
    CHECK(has_got(&wire.hosts[0], "late", 4));
    CHECK_EQ(wire.hosts[0].ended_count, 1);
    CHECK_EQ(wire.hosts[1].ended_count, 1);
    wire_fini(&wire);
}

static void
nobody_ends_before_all_have(void)
{
    wire wire;
    init(&wire, 3, true);
    wire_start_all(&wire);
    bw_mesh_leave(wire.hosts[2].mesh, wire.now_ns);
    wire_pass(&wire, BW_NS_PER_S);
    bw_mesh_leave(wire.hosts[0].mesh, wire.now_ns);
    wire_pass(&wire, BW_NS_PER_S);
    for (uint32_t i = 0; i < 3; i++) CHECK_EQ(wire.hosts[i].ended_count, 0);
    wire_pass(&wire, 100 * BW_NS_PER_S);
    bw_mesh_leave(wire.hosts[1].mesh, wire.now_ns);
    wire_settle(&wire);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(wire.hosts[i].ended_count, 1);
        CHECK_EQ(wire.hosts[i].broken_count, 0);
    }
    wire_fini(&wire);
}

static void
failure_may_come_from_within_what_the_mesh_tells(void)
{
    enum { NONSENSE, SILENCE, END, CROWD, CASES };
    for (int i = 0; i < CASES; i++) {
        wire wire;
        init(&wire, 3, true);
        for (uint32_t k = 0; k < 2; k++) wire_start(&wire, k);
        wire_settle(&wire);
        wire.hosts[0].fails_to_say = true;
        wire_link *link = wire_knock(&wire, 0);
        wire_say(link, (const uint8_t *)(i == NONSENSE ? "GET / HTTP/1.1" : "x"),
                 i == NONSENSE ? 14 : 1);
        if (i == CROWD) knock_often(&wire, 63, true, false);
        wire_settle(&wire);
        if (i == SILENCE) wire_pass(&wire, 11 * BW_NS_PER_S);
        if (i == END) link->ends[0].sent.is_closed = true;
        if (i == CROWD) CHECK(wire_knock(&wire, 0) == NULL);
        wire_settle(&wire);
        CHECK(bw_mesh_is_closed(wire.hosts[0].mesh));
        CHECK_EQ(wire.hosts[0].line_count, 1);
        CHECK_EQ(count_open(&wire), 0);
        CHECK_EQ(wire.hosts[1].failed_count, 1);
        wire_fini(&wire);
    }
}

static void
failure_after_a_peer_has_left_reaches_it(void)
{
    wire wire;
    init(&wire, 3, true);
    wire_start_all(&wire);
    bw_mesh_leave(wire.hosts[0].mesh, wire.now_ns);
    bw_mesh_leave(wire.hosts[1].mesh, wire.now_ns);
    wire_settle(&wire);
    bw_mesh_fail(wire.hosts[2].mesh, (const uint8_t *)"why", 3, wire.now_ns);
    wire_settle(&wire);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_EQ(wire.hosts[i].failed_by, 2);
        CHECK_EQ(wire.hosts[i].ended_count + wire.hosts[i].broken_count, 0);
    }
    wire_fini(&wire);
}

static void
peer_that_is_killed_while_it_waits_for_the_end_is_named(void)
{
    wire wire;
    init(&wire, 2, true);
    wire_start_all(&wire);
    bw_mesh_leave(wire.hosts[0].mesh, wire.now_ns);
    wire_settle(&wire);
    wire_kill(&wire, 0);
    wire_settle(&wire);
    CHECK(strstr(wire.hosts[1].broken, "process 0 (alpha:1) went away") != NULL);
    wire_fini(&wire);
}

static void
freed_in_any_state_it_leaves_nothing(void)
{
    for (int stage = 0; stage < 4; stage++) {
        wire wire;
        init(&wire, 2, true);
        wire_start(&wire, 0);
        if (stage > 0) wire_start(&wire, 1);
        if (stage > 1) wire_settle(&wire);
        if (stage > 2) send_much(&wire, 0, 1, 3);
        wire_fini(&wire);
    }
}

TEST_MAIN(
    TEST(two_meet_talk_and_end), TEST(one_process_alone_is_connected_and_ends),
    TEST(bytes_may_come_in_any_pieces), TEST(four_meet_in_any_order),
    TEST(nobody_is_connected_before_all_are), TEST(dialling_backs_off_to_twice_a_second),
    TEST(who_is_missing_is_said_every_five_seconds), TEST(who_is_not_there_in_time_is_an_error_for_all),
    TEST(zero_waits_for_ever), TEST(who_accepts_but_does_not_answer_is_dialled_again),
    TEST(dialling_may_take_longer_than_a_handshake), TEST(dialling_comes_to_an_end),
    TEST(wrong_secret_fails_who_dials_and_nobody_else), TEST(no_secret_is_a_wrong_one),
    TEST(mismatch_fails_both_sides), TEST(lists_of_addresses_that_differ_are_told),
    TEST(second_process_of_an_index_fails_alone), TEST(scanners_get_no_answer_and_do_no_harm),
    TEST(who_looks_whether_somebody_listens_makes_no_line),
    TEST(crowd_that_is_turned_away_holds_few_connections), TEST(unfinished_handshakes_are_few_and_short),
    TEST(crowd_from_one_host_keeps_nobody_out), TEST(crowd_makes_room_and_not_who_came_alone),
    TEST(strangers_of_many_hosts_keep_nobody_out_for_long),
    TEST(handshake_that_was_recorded_opens_nothing), TEST(changed_byte_of_a_handshake_opens_nothing),
    TEST(changed_byte_of_a_record_is_never_passed_on), TEST(record_that_was_recorded_is_refused),
    TEST(nonsense_of_an_open_peer_is_named), TEST(frame_that_is_not_taken_ends_the_mesh),
    TEST(idle_peers_stay_together), TEST(cut_cable_is_noticed_in_time_on_both_sides),
    TEST(short_standstill_of_a_peer_is_forgiven_a_long_one_not),
    TEST(time_in_which_a_process_stood_still_is_not_the_others_silence),
    TEST(silence_is_noticed_however_short_the_timeout), TEST(any_byte_is_a_sign_of_life),
    TEST(peer_that_is_killed_is_named_at_once),
    TEST(peer_that_is_killed_while_others_are_missing_is_named),
    TEST(failure_reaches_all_with_its_origin),
    TEST(failure_while_some_are_missing_reaches_those_who_are_there), TEST(error_overtakes_what_waits),
    TEST(little_is_with_the_transport_and_all_arrives), TEST(last_frames_go_before_the_end),
    TEST(nobody_ends_before_all_have), TEST(failure_may_come_from_within_what_the_mesh_tells),
    TEST(failure_after_a_peer_has_left_reaches_it),
    TEST(peer_that_is_killed_while_it_waits_for_the_end_is_named),
    TEST(freed_in_any_state_it_leaves_nothing))
