// Whole processes in one thread: boards, links and workers as they are, and instead of the mesh a test that
// carries blocks from outbox to link.
#include "cluster/link.h"

#include "net/message.h"
#include "testing/check.h"
#include "testing/number_flow.h"
#include "worker/exchange.h"
#include "worker/outlet.h"
#include "worker/worker.h"

enum { MOST_PROCESSES = 3, MOST_WORKERS = 3 };

// ---- the mesh, as far as a link knows it

static struct {
    int left, failed;
    uint8_t payload[1 << 16];
    uint32_t payload_size;
} mesh;

void
bw_mesh_leave(bw_mesh *self, uint64_t now_ns)
{
    (void)self;
    (void)now_ns;
    mesh.left++;
}

void
bw_mesh_fail(bw_mesh *self, const uint8_t *payload, uint32_t size, uint64_t now_ns)
{
    (void)self;
    (void)now_ns;
    mesh.failed++;
    CHECK(size <= sizeof mesh.payload);
    memcpy(mesh.payload, payload, size);
    mesh.payload_size = size;
}

static const bw_amount USUAL = {.items = BW_WINDOW_ITEMS};

// ---- processes

typedef struct process {
    number_flow flow;
    bw_execution execution;
    bw_board board;
    bw_link *link;
    bw_mesh_events events;
    bw_outbox outboxes[MOST_PROCESSES];
    bw_outbox *pointers[MOST_PROCESSES];
    bw_worker *workers[MOST_WORKERS];
    bw_turn turns[MOST_WORKERS];
} process;

typedef struct fixture {
    uint32_t process_count, worker_count;  // of each process
    process processes[MOST_PROCESSES];
} fixture;

static void
set_up_process(fixture *fixture, uint32_t index, const number_flow *like, bw_amount window)
{
    process *process = &fixture->processes[index];
    memcpy(&process->flow, like, sizeof *like);
    number_flow_init(&process->flow);
    process->execution = number_flow_execution(&process->flow);
    process->execution.window_items = window.items;
    process->execution.window_bytes = window.bytes;
    const bw_layout layout = {.process_count = fixture->process_count,
                              .process_index = index,
                              .local_count = fixture->worker_count};
    CHECK_EQ(bw_board_init(&process->board, layout, process->flow.graph->count, 0, NULL), BW_OK);
    const bw_net_settings settings = {.process_index = index};
    CHECK_EQ(bw_link_new(&process->board, &settings, &process->link), BW_OK);
    process->events = bw_link_events(process->link);
    for (uint32_t i = 0; i < fixture->process_count; i++) {
        CHECK_EQ(bw_outbox_init(&process->outboxes[i], NULL, NULL), BW_OK);
        process->pointers[i] = i == index ? NULL : &process->outboxes[i];
    }
    process->board.outboxes = process->pointers;
    for (uint32_t i = 0; i < fixture->worker_count; i++) {
        CHECK_EQ(bw_worker_new(&process->execution, &process->board, process->board.first_worker + i,
                               &process->workers[i]),
                 BW_OK);
    }
}

static void
set_up(fixture *fixture, uint32_t process_count, uint32_t worker_count, const number_flow *like,
       bw_amount window)
{
    memset(fixture, 0, sizeof *fixture);
    memset(&mesh, 0, sizeof mesh);
    fixture->process_count = process_count;
    fixture->worker_count = worker_count;
    for (uint32_t i = 0; i < process_count; i++) set_up_process(fixture, i, like, window);
}

static void
tear_down(fixture *fixture)
{
    for (uint32_t i = 0; i < fixture->process_count; i++) {
        process *process = &fixture->processes[i];
        for (uint32_t k = 0; k < fixture->worker_count; k++) bw_worker_free(process->workers[k]);
        for (uint32_t k = 0; k < fixture->process_count; k++) bw_outbox_fini(&process->outboxes[k]);
        bw_link_free(process->link);
        bw_board_fini(&process->board, &process->execution.items);
        CHECK_EQ(process->flow.live, 0);
        number_flow_fini(&process->flow);
    }
}

/// Gives the frames of a chain of blocks to a process, up to the first that it does not like.
static bw_status
carry_blocks(process *to, uint32_t from, bw_block *first)
{
    bw_status status = BW_OK;
    for (const bw_block *block = first; block != NULL; block = block->next) {
        const uint8_t *at = block->bytes;
        bw_frame frame;
        bw_status next;
        while ((next = bw_frame_next(&at, block->bytes + block->size, &frame)) == BW_OK) {
            if (status == BW_OK) status = to->events.frame(to->events.self, from, &frame);
        }
        CHECK_EQ(next, BW_EMPTY);
    }
    bw_block_free_all(first);
    return status;
}

/// Carries what waits, everywhere. True if there was anything.
static bool
carry_all(fixture *fixture)
{
    bool any = false;
    for (uint32_t i = 0; i < fixture->process_count; i++) {
        for (uint32_t k = 0; k < fixture->process_count; k++) {
            bw_block *block;
            while ((block = bw_outbox_take(&fixture->processes[i].outboxes[k], 1)) != NULL) {
                any = true;
                CHECK_EQ(carry_blocks(&fixture->processes[k], i, block), BW_OK);
            }
        }
    }
    return any;
}

/// One turn of each worker that lives. True if any had something to do.
static bool
turn_all(fixture *fixture)
{
    bool any = false;
    for (uint32_t i = 0; i < fixture->process_count; i++) {
        process *process = &fixture->processes[i];
        for (uint32_t k = 0; k < fixture->worker_count; k++) {
            uint64_t deadline_ns;
            if (process->turns[k] >= BW_TURN_DONE) continue;
            process->turns[k] = bw_worker_turn(process->workers[k], &deadline_ns);
            any |= process->turns[k] == BW_TURN_AGAIN || deadline_ns != BW_TIME_NEVER;
        }
    }
    return any;
}

/// Until all have ended, or one worker failed (which it returns), or nothing happens any more.
static bw_worker *
run(fixture *fixture)
{
    for (;;) {
        bool any = turn_all(fixture);
        bool all_done = true;
        for (uint32_t i = 0; i < fixture->process_count; i++) {
            process *process = &fixture->processes[i];
            for (uint32_t k = 0; k < fixture->worker_count; k++) {
                if (process->turns[k] == BW_TURN_FAILED) return process->workers[k];
                all_done &= process->turns[k] == BW_TURN_DONE;
                any |= bw_worker_has_mail(process->workers[k]);
            }
        }
        any |= carry_all(fixture);
        if (all_done || !any) return NULL;
    }
}

/// Until all workers run, which shows in the first numbers that came over.
static void
start(fixture *fixture)
{
    for (int i = 0; i < 6; i++) {
        turn_all(fixture);
        carry_all(fixture);
    }
    for (uint32_t i = 0; i < fixture->process_count; i++) {
        CHECK_EQ(fixture->processes[i].board.built, fixture->process_count * fixture->worker_count);
    }
}

// ---- all of it

static void
check_sums(const fixture *fixture)
{
    uint64_t counts[3] = {0}, sums[3] = {0}, keyed[NUMBER_KEYS] = {0}, decoded = 0;
    uint32_t workers = fixture->process_count * fixture->worker_count;
    const number_flow *any = &fixture->processes[0].flow;
    for (uint32_t i = 0; i < fixture->process_count; i++) {
        const number_flow *flow = &fixture->processes[i].flow;
        const number_tally *tallies[] = {&flow->dealt, &flow->keyed, &flow->parted};
        CHECK(!flow->misled);
        for (int k = 0; k < 3; k++) {
            counts[k] += tallies[k]->count;
            sums[k] += tallies[k]->sum;
        }
        for (int k = 0; k < NUMBER_KEYS; k++) keyed[k] += flow->by_key[k];
        decoded += flow->decoded;
        for (uint32_t k = 0; k < fixture->worker_count; k++) {
            CHECK_EQ(fixture->processes[i].turns[k], BW_TURN_DONE);
        }
    }
    for (int k = 0; k < 3; k++) {
        CHECK_EQ(counts[k], number_flow_count(any, workers));
        CHECK_EQ(sums[k], number_flow_sum(any, workers));
    }
    uint64_t wanted[NUMBER_KEYS] = {0};
    for (uint64_t n = 1; n <= number_flow_count(any, workers); n++) wanted[n % NUMBER_KEYS] += n;
    for (int k = 0; k < NUMBER_KEYS; k++) CHECK_EQ(keyed[k], wanted[k]);
    CHECK(decoded > number_flow_count(any, workers));
}

static void
check_flow(uint32_t processes, uint32_t workers, uint64_t items, uint32_t padding, bw_amount window)
{
    static fixture fixture;
    const number_flow like = {.per_worker = items, .padding = padding};
    set_up(&fixture, processes, workers, &like, window);
    CHECK(run(&fixture) == NULL);
    check_sums(&fixture);
    tear_down(&fixture);
}

static void
flow_over_processes_gives_what_one_gives(void)
{
    check_flow(2, 1, 5000, 0, USUAL);
    check_flow(3, 2, 5000, 0, USUAL);
    check_flow(2, 3, 3000, 0, (bw_amount){.items = 100});
    check_flow(3, 1, 100, 0, (bw_amount){.items = 1});
}

static void
batches_of_many_blocks_arrive_whole(void)
{
    check_flow(2, 2, 4000, 300, USUAL);
    check_flow(2, 1, 50, BW_BLOCK_BYTES - 40, (bw_amount){.items = 64});
    check_flow(3, 2, 20, 200000, (bw_amount){.items = 5});
}

static void
windows_are_bounded_in_bytes(void)
{
    check_flow(2, 1, 3000, 0, (bw_amount){.items = BW_WINDOW_ITEMS, .bytes = 1});
    check_flow(3, 2, 2000, 100, (bw_amount){.items = BW_WINDOW_ITEMS, .bytes = 5000});
}

// ---- failures of workers

static void
check_failure(const bw_worker *worker, bw_status status, uint32_t step, const char *text)
{
    CHECK(worker != NULL);
    bw_failure failure = bw_worker_failure(worker);
    CHECK_EQ(failure.status, status);
    CHECK_EQ(failure.step_index, step);
    if (strstr(failure.error.text, text) != NULL) return;
    fprintf(stderr, "\"%s\" does not say \"%s\"\n", failure.error.text, text);
    exit(1);
}

static void
item_that_cannot_be_encoded_fails_the_step_it_goes_into(void)
{
    static fixture fixture;
    // Dealt by worker 0: number 2 goes to worker 0 itself, number 1 to worker 1.
    const number_flow like = {.per_worker = 100, .encode_fails_at = 1, .waits = true};
    set_up(&fixture, 2, 1, &like, USUAL);
    const bw_worker *failed = run(&fixture);
    check_failure(failed, BW_EHOST, 1, "");
    CHECK_EQ(bw_worker_failure(failed).worker_index, 0);
    tear_down(&fixture);
}

static void
item_that_cannot_be_decoded_fails_the_step_it_came_for(void)
{
    static fixture fixture;
    const number_flow like = {.per_worker = 100, .decode_fails_at = 1, .waits = true};
    set_up(&fixture, 2, 1, &like, USUAL);
    const bw_worker *failed = run(&fixture);
    check_failure(failed, BW_EHOST, 1, "");
    CHECK_EQ(bw_worker_failure(failed).worker_index, 1);
    tear_down(&fixture);
}

static void
failed_encoding_leaves_what_was_written_before(void)
{
    number_flow flow = {.padding = 1000, .encode_fails_at = 5};
    number_flow_init(&flow);
    const bw_item_ops items = number_flow_execution(&flow).items;
    bw_outbox outbox;
    CHECK_EQ(bw_outbox_init(&outbox, NULL, NULL), BW_OK);
    bw_outlet outlet;
    bw_outlet_init(&outlet, &outbox);
    bw_batch_pool pool;
    bw_batch_pool_init(&pool);
    bw_batch *batch = bw_batch_pool_get(&pool, 0);
    for (uintptr_t i = 6; i < 100; i++) bw_batch_push(batch, (void *)i);
    bw_message message = {.kind = BW_MESSAGE_DATA, .count = batch->count};
    uint32_t size_put;
    CHECK_EQ(bw_outlet_put_batch(&outlet, 1, &message, batch, &items, &size_put), BW_OK);
    CHECK_EQ(size_put, 94 * 1008);
    bw_batch_push(batch, (void *)(uintptr_t)5);
    message.count++;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(bw_outlet_put_batch(&outlet, 1, &message, batch, &items, &size_put), BW_EHOST);
    }
    CHECK_EQ(bw_ready_put(&outlet.writer, 0, BW_READY_BUILT), BW_OK);
    bw_outlet_push(&outlet);
    bw_block *first = bw_outbox_take(&outbox, UINT64_MAX);
    uint64_t size = 0;
    uint32_t frames = 0;
    bw_frame frame = {0};
    for (const bw_block *block = first; block != NULL; block = block->next) {
        const uint8_t *at = block->bytes;
        while (bw_frame_next(&at, block->bytes + block->size, &frame) == BW_OK) {
            bool data = frame.kind == BW_FRAME_DATA;
            if (frame.kind == BW_FRAME_READY) break;
            size += frame.size - (data ? BW_DATA_HEAD : BW_MORE_HEAD);
            CHECK_EQ(data, frames++ == 0);
        }
    }
    CHECK_EQ(frame.kind, BW_FRAME_READY);
    CHECK_EQ(size, 94 * 1008);
    bw_block_free_all(first);
    bw_batch_drop(batch, &items);
    bw_batch_pool_fini(&pool);
    bw_outlet_fini(&outlet);
    bw_outbox_fini(&outbox);
    number_flow_fini(&flow);
}

// ---- what peers may not do: process 1 (workers 2 and 3) speaks to process 0 (workers 0 and 1)

static void
set_up_two(fixture *fixture)
{
    const number_flow like = {.per_worker = 0, .waits = true};
    set_up(fixture, 2, 2, &like, (bw_amount){.items = 10, .bytes = 100});
    start(fixture);
}

/// What process 0 says to one frame.
static bw_status
hear(fixture *fixture, bw_writer *writer)
{
    return carry_blocks(&fixture->processes[0], 1, bw_writer_take(writer));
}

typedef struct data {
    uint32_t sender, receiver, exchange;
    bw_epoch epoch;
    uint32_t count, half;
    bw_shape shape;
    uint32_t size;   // of the items here
    uint32_t later;  // and in MORE
    uint8_t flags;
} data;

static void
put_data(bw_writer *writer, const data *data)
{
    const bw_message message = {.kind = BW_MESSAGE_DATA,
                                .sender = data->sender,
                                .exchange = data->exchange,
                                .half = data->half,
                                .count = data->count,
                                .epoch = data->epoch,
                                .shape = data->shape};
    uint32_t size = BW_DATA_HEAD + data->size;
    CHECK_EQ(bw_message_reserve(writer, BW_FRAME_HEAD + size), BW_OK);
    bw_frame_put_head(writer->at, BW_FRAME_DATA, data->flags, size);
    bw_data_put_head(writer->at + BW_FRAME_HEAD, data->receiver, &message, data->size + data->later);
    uint8_t *at = writer->at + BW_FRAME_HEAD + BW_DATA_HEAD;
    memset(at, 0, data->size);
    for (uint32_t i = 0; i + 8 <= data->size; i += 8) bw_put_u64(at + i, 1 + i / 8);
    writer->at += BW_FRAME_HEAD + size;
}

static void
put_more(bw_writer *writer, uint32_t sender, uint8_t flags, uint32_t size)
{
    CHECK_EQ(bw_message_reserve(writer, BW_FRAME_HEAD + BW_MORE_HEAD + size), BW_OK);
    bw_frame_put_head(writer->at, BW_FRAME_MORE, flags, BW_MORE_HEAD + size);
    bw_more_put_head(writer->at + BW_FRAME_HEAD, sender);
    memset(writer->at + BW_FRAME_HEAD + BW_MORE_HEAD, 9, size);
    writer->at += BW_FRAME_HEAD + BW_MORE_HEAD + size;
}

static void
put_mark(bw_writer *writer, uint32_t sender, uint32_t receiver, bw_epoch epoch)
{
    const bw_message mark = {.kind = BW_MESSAGE_MARK, .sender = sender, .epoch = epoch};
    CHECK_EQ(bw_message_put(writer, receiver, &mark), BW_OK);
}

static void
put_assign(bw_writer *writer, uint32_t step)
{
    CHECK_EQ(bw_assign_put(writer, step, (bw_bytes){.data = "late", .size = 4}), BW_OK);
}

static void
link_refuses_what_a_process_may_not_say(void)
{
    const data good = {.sender = 2, .receiver = 1, .count = 1, .size = 8};
    data stranger = good, own = good, unknown = good, elsewhere = good, begun = good;
    stranger.sender = 4;
    own.sender = 1;
    unknown.receiver = UINT32_MAX;
    elsewhere.receiver = 3;
    begun.flags = BW_FRAME_MORE_FOLLOWS;
    begun.later = 5;
    for (int i = 0; i < 20; i++) {
        static fixture fixture;
        set_up_two(&fixture);
        bw_writer writer;
        bw_writer_init(&writer, 12);
        bw_status wanted = BW_ECORRUPT;
        switch (i) {
        case 0:
            put_data(&writer, &stranger);
            break;
        case 1:
            put_data(&writer, &own);
            break;
        case 2:
            put_data(&writer, &unknown);
            break;
        case 3:
            put_data(&writer, &elsewhere);
            break;
        case 4:
            put_more(&writer, 2, 0, 5);
            break;
        case 5:
            put_data(&writer, &begun);
            put_data(&writer, &good);
            break;
        case 6:
            put_data(&writer, &begun);
            put_mark(&writer, 2, 1, 1);
            break;
        case 7:
            put_data(&writer, &begun);
            put_more(&writer, 3, 0, 5);
            break;
        case 8:
            put_mark(&writer, 1, 1, 1);
            break;
        case 9:
            put_mark(&writer, 2, 2, 1);
            break;
        case 10:
            CHECK_EQ(bw_ready_put(&writer, 2, BW_READY_LISTED), BW_OK);
            break;
        case 11:
            CHECK_EQ(bw_ready_put(&writer, 2, BW_READY_BUILT), BW_OK);
            break;
        case 12:
            CHECK_EQ(bw_ready_put(&writer, 0, BW_READY_BUILT), BW_OK);
            break;
        case 13:
            put_assign(&writer, 3);
            break;
        case 14:
            put_assign(&writer, 4);
            break;
        case 15:
            CHECK_EQ(bw_progress_put(&writer, 1, BW_PROGRESS_CLOSED, 100), BW_OK);
            break;
        case 16:
            CHECK_EQ(bw_progress_put(&writer, 2, BW_PROGRESS_BEGUN, BW_EPOCH_NONE), BW_OK);
            break;
        case 17:
            put_data(&writer, &begun);
            put_more(&writer, 2, 0, 4);
            break;
        case 18:
            put_data(&writer, &begun);
            put_more(&writer, 2, BW_FRAME_MORE_FOLLOWS, 6);
            break;
        case 19:
            // All of these are as they must be.
            put_data(&writer, &begun);
            put_mark(&writer, 3, 0, 1);
            put_more(&writer, 2, BW_FRAME_MORE_FOLLOWS, 0);
            put_more(&writer, 2, 0, 5);
            CHECK_EQ(bw_progress_put(&writer, 2, BW_PROGRESS_CLOSED, 100), BW_OK);
            CHECK_EQ(bw_progress_put(&writer, 2, BW_PROGRESS_CLOSED, BW_EPOCH_NONE), BW_OK);
            CHECK_EQ(bw_progress_put(&writer, 2, BW_PROGRESS_BEGUN, 100), BW_OK);
            wanted = BW_OK;
            break;
        }
        CHECK_EQ(hear(&fixture, &writer), wanted);
        tear_down(&fixture);
    }
}

static void
kinds_that_are_not_a_workers_are_refused(void)
{
    static fixture fixture;
    set_up_two(&fixture);
    for (unsigned kind = 0; kind < 256; kind++) {
        uint8_t payload[1] = {0};
        const bw_frame frame = {.kind = (uint8_t)kind, .size = 1, .payload = payload};
        process *to = &fixture.processes[0];
        CHECK_EQ(to->events.frame(to->events.self, 1, &frame), BW_ECORRUPT);
    }
    tear_down(&fixture);
}

static void
epochs_closed_by_others_do_not_go_back(void)
{
    static fixture fixture;
    set_up_two(&fixture);
    bw_writer writer;
    bw_writer_init(&writer, 0);
    CHECK_EQ(bw_progress_put(&writer, 3, BW_PROGRESS_CLOSED, 1000), BW_OK);
    CHECK_EQ(hear(&fixture, &writer), BW_OK);
    CHECK_EQ(bw_progress_put(&writer, 3, BW_PROGRESS_CLOSED, 999), BW_OK);
    CHECK_EQ(hear(&fixture, &writer), BW_ECORRUPT);
    tear_down(&fixture);
}

/// That worker 1 fails, blaming process 1 for `text`, after what was written.
static void
check_blamed(fixture *fixture, bw_writer *writer, uint32_t step, const char *text)
{
    CHECK_EQ(hear(fixture, writer), BW_OK);
    uint64_t deadline_ns;
    bw_worker *worker = fixture->processes[0].workers[1];
    bw_turn turn;
    do turn = bw_worker_turn(worker, &deadline_ns);
    while (turn == BW_TURN_AGAIN);
    CHECK_EQ(turn, BW_TURN_FAILED);
    check_failure(worker, BW_ECORRUPT, step, "process 1 breaks the protocol: its worker 2 ");
    check_failure(worker, BW_ECORRUPT, step, text);
    tear_down(fixture);
}

static void
worker_refuses_what_its_peers_may_not_send(void)
{
    static fixture fixture;
    bw_writer writer;
    bw_writer_init(&writer, 0);
    const data dealt = {.sender = 2, .receiver = 1, .exchange = 0, .epoch = 5000, .count = 1, .size = 8};

    data bad = dealt;
    bad.exchange = 3;
    set_up_two(&fixture);
    put_data(&writer, &bad);
    check_blamed(&fixture, &writer, UINT32_MAX, "a stream that is not there");

    for (uint32_t exchange = 0; exchange < 3; exchange++) {
        for (uint32_t shape = 0; shape < 3; shape++) {
            if (shape == exchange) continue;  // turn, key and partition, in this order
            bad = dealt;
            bad.exchange = exchange;
            bad.shape = (bw_shape)shape;
            set_up_two(&fixture);
            put_data(&writer, &bad);
            check_blamed(&fixture, &writer, UINT32_MAX, "of a shape that the step does not take");
        }
    }

    set_up_two(&fixture);
    put_mark(&writer, 2, 1, 5001);
    put_data(&writer, &dealt);
    check_blamed(&fixture, &writer, UINT32_MAX, "of an epoch that it had left");

    set_up_two(&fixture);
    put_mark(&writer, 2, 1, 5001);
    put_mark(&writer, 2, 1, 5002);  // takes the place of the one before
    put_mark(&writer, 2, 0, 5000);
    CHECK_EQ(hear(&fixture, &writer), BW_OK);
    turn_all(&fixture);
    put_mark(&writer, 2, 1, 5000);
    check_blamed(&fixture, &writer, UINT32_MAX, "went back");

    const bw_message credit = {.kind = BW_MESSAGE_CREDIT, .sender = 2, .count = 1};
    set_up_two(&fixture);
    CHECK_EQ(bw_message_put(&writer, 1, &credit), BW_OK);
    check_blamed(&fixture, &writer, UINT32_MAX, "more room back");

    bad = dealt;
    bad.size = 9;
    set_up_two(&fixture);
    put_data(&writer, &bad);
    check_blamed(&fixture, &writer, 1, "that nobody can have sent");
}

static void
items_for_other_workers_are_refused(void)
{
    // Number 1 of all kinds; exactly one of four workers owns it by key, and one by partition.
    for (uint32_t exchange = 1; exchange < 3; exchange++) {
        uint32_t taken = 0;
        for (uint32_t receiver = 0; receiver < 4; receiver++) {
            static fixture fixture;
            set_up_two(&fixture);
            const data data = {.sender = receiver < 2 ? 2 : 0,
                               .receiver = receiver,
                               .exchange = exchange,
                               .count = 1,
                               .shape = exchange == 1 ? BW_SHAPE_KEYED : BW_SHAPE_PART,
                               .size = 8};
            bw_writer writer;
            bw_writer_init(&writer, 0);
            put_data(&writer, &data);
            process *to = &fixture.processes[receiver / 2];
            CHECK_EQ(carry_blocks(to, 1 - receiver / 2, bw_writer_take(&writer)), BW_OK);
            uint64_t deadline_ns;
            bw_worker *worker = to->workers[receiver % 2];
            if (bw_worker_turn(worker, &deadline_ns) == BW_TURN_FAILED) {
                check_failure(worker, BW_ECORRUPT, exchange + 1, "that nobody can have sent");
            } else {
                taken++;
            }
            tear_down(&fixture);
        }
        CHECK_EQ(taken, 1);
    }
}

static void
window_binds_senders_elsewhere(void)
{
    // In a half of 10 items: of a later epoch, in which a step holds them back.
    const data six = {.sender = 2,
                      .receiver = 1,
                      .exchange = 1,
                      .epoch = 5000,
                      .count = 6,
                      .half = 1,
                      .shape = BW_SHAPE_KEYED,
                      .size = 48};
    data four = six, five = six, many = six, other = six;
    four.count = 4, four.size = 32;
    five.count = 5, five.size = 40;
    many.count = 20, many.size = 160;
    other.half = 0;
    static fixture fixture;
    bw_writer writer;
    bw_writer_init(&writer, 0);

    set_up_two(&fixture);
    put_data(&writer, &six);
    put_data(&writer, &five);
    check_blamed(&fixture, &writer, UINT32_MAX, "more than its window allows");

    set_up_two(&fixture);
    put_data(&writer, &many);  // goes alone
    put_data(&writer, &other);
    put_data(&writer, &four);
    check_blamed(&fixture, &writer, UINT32_MAX, "more than its window allows");

    // 100 bytes end the half as well: after 48 the next goes, after 96 and one more not.
    data two = six, one = six;
    two.count = 2, two.size = 48;
    one.count = 1, one.size = 8;
    set_up_two(&fixture);
    put_data(&writer, &six);
    put_data(&writer, &two);
    put_data(&writer, &one);
    put_data(&writer, &one);
    check_blamed(&fixture, &writer, UINT32_MAX, "more than its window allows");

    set_up_two(&fixture);
    put_data(&writer, &six);
    put_data(&writer, &other);
    put_data(&writer, &four);
    CHECK_EQ(hear(&fixture, &writer), BW_OK);
    uint64_t deadline_ns;
    CHECK(bw_worker_turn(fixture.processes[0].workers[1], &deadline_ns) != BW_TURN_FAILED);
    CHECK_EQ(bw_worker_held_items(fixture.processes[0].workers[1]), 16);
    tear_down(&fixture);
}

// ---- states and failures

static void
states_follow_the_mesh(void)
{
    static fixture fixture;
    set_up_two(&fixture);
    process *one = &fixture.processes[0];
    bw_link *link = one->link;
    bw_waker waker;
    CHECK_EQ(bw_waker_init(&waker), BW_OK);
    bw_link_set_waiter(link, &waker);
    CHECK_EQ(bw_link_state_of(link), BW_LINK_CONNECTING);
    bw_waker_arm(&waker);
    one->events.connected(one->events.self);
    bw_waker_wait(&waker, BW_TIME_NEVER, NULL, 0);  // else it hangs here
    CHECK_EQ(bw_link_state_of(link), BW_LINK_CONNECTED);
    bw_link_poll(link, 1);
    CHECK_EQ(mesh.left, 0);
    bw_link_leave(link);
    bw_link_leave(link);
    bw_link_poll(link, 1);
    bw_link_poll(link, 1);
    CHECK_EQ(mesh.left, 1);
    CHECK_EQ(bw_link_state_of(link), BW_LINK_CONNECTED);
    bw_waker_arm(&waker);
    one->events.ended(one->events.self);
    bw_waker_wait(&waker, BW_TIME_NEVER, NULL, 0);
    CHECK_EQ(bw_link_state_of(link), BW_LINK_ENDED);
    bw_link_fail(link, 0, "step", "too late");
    bw_link_poll(link, 1);
    CHECK_EQ(bw_link_state_of(link), BW_LINK_ENDED);
    CHECK_EQ(mesh.failed, 0);
    CHECK(!one->board.stopped);
    bw_waker_fini(&waker);
    tear_down(&fixture);
}

static void
check_link_failure(const process *process, bool reported, uint32_t index, uint32_t worker,
                   const char *step, const char *text)
{
    CHECK_EQ(bw_link_state_of(process->link), BW_LINK_FAILED);
    CHECK(process->board.stopped);
    const bw_link_failure *failure = bw_link_failure_of(process->link);
    CHECK_EQ(failure->reported, reported);
    CHECK_EQ(failure->process, index);
    CHECK_EQ(failure->worker, worker);
    CHECK_EQ(strcmp(failure->step, step), 0);
    CHECK_EQ(strcmp(failure->text, text), 0);
}

static void
failure_here_stops_and_is_told_to_the_others(void)
{
    static fixture fixture;
    set_up_two(&fixture);
    process *one = &fixture.processes[0], *two = &fixture.processes[1];
    bw_link_fail(one->link, 1, "flow.step", "Traceback: caf\xc3\xa9");
    bw_link_fail(one->link, 0, "another", "comes too late");
    check_link_failure(one, true, 0, 1, "flow.step", "Traceback: caf\xc3\xa9");
    bw_link_leave(one->link);
    bw_link_poll(one->link, 1);
    bw_link_poll(one->link, 1);
    CHECK_EQ(mesh.failed, 1);
    CHECK_EQ(mesh.left, 0);
    two->events.failed(two->events.self, 0, mesh.payload, mesh.payload_size);
    check_link_failure(two, true, 0, 1, "flow.step", "Traceback: caf\xc3\xa9");
    // From then on nothing of its own goes out.
    bw_link_fail(two->link, 2, "", "comes too late");
    bw_link_poll(two->link, 1);
    CHECK_EQ(mesh.failed, 1);
    uint64_t deadline_ns;
    CHECK_EQ(bw_worker_turn(two->workers[0], &deadline_ns), BW_TURN_STOPPED);
    tear_down(&fixture);
}

static void
failure_outside_of_workers_is_told_too(void)
{
    static fixture fixture;
    set_up_two(&fixture);
    process *one = &fixture.processes[0], *two = &fixture.processes[1];
    bw_link_fail(one->link, UINT32_MAX, NULL, NULL);
    bw_link_poll(one->link, 1);
    two->events.failed(two->events.self, 0, mesh.payload, mesh.payload_size);
    check_link_failure(two, true, 0, UINT32_MAX, "", "");
    tear_down(&fixture);
}

static void
broken_connections_are_nobodys_report(void)
{
    static fixture fixture;
    set_up_two(&fixture);
    process *one = &fixture.processes[0];
    bw_error error = {.text = "process 1 (a:1) went away: connection reset"};
    one->events.broken(one->events.self, &error);
    check_link_failure(one, false, 0, UINT32_MAX, "", error.text);
    tear_down(&fixture);
}

static void
long_texts_lose_their_middle_between_characters(void)
{
    for (size_t shift = 0; shift < 4; shift++) {
        static fixture fixture;
        static char text[200001], step[5001];
        // Characters of three bytes, so that no cut falls between two of them by itself.
        memset(text, 'x', sizeof text - 1);
        memset(step, 's', sizeof step - 1);
        for (size_t i = shift; i + 3 < sizeof text - 1; i += 3) memcpy(text + i, "\xe2\x82\xac", 3);
        memcpy(text + sizeof text - 5, "END.", 4);
        set_up_two(&fixture);
        process *one = &fixture.processes[0], *two = &fixture.processes[1];
        bw_link_fail(one->link, 0, step, text);
        bw_link_poll(one->link, 1);
        CHECK(mesh.payload_size <= 64 * 1024);
        two->events.failed(two->events.self, 0, mesh.payload, mesh.payload_size);
        const char *got = bw_link_failure_of(two->link)->text;
        const char *gap = strstr(got, "\n[...]\n");
        CHECK(gap != NULL && strlen(got) > 60000);
        CHECK_EQ(((size_t)(gap - got) - shift) % 3, 0);
        CHECK(memcmp(got, text, (size_t)(gap - got)) == 0);
        const char *tail = gap + 7;
        CHECK(((unsigned char)*tail & 0xc0) != 0x80);
        CHECK_EQ(strcmp(tail, text + strlen(text) - strlen(tail)), 0);
        CHECK(strlen(bw_link_failure_of(two->link)->step) <= 1024);
        tear_down(&fixture);
    }
}

static void
reports_of_failure_are_read_with_care(void)
{
    static const uint8_t lies[] = {0, 0, 0, 0, 5, 0, 0, 0, 'a', 'b', 'c', 'd'};
    for (uint32_t size = 0; size <= sizeof lies; size++) {
        static fixture fixture;
        set_up_two(&fixture);
        process *one = &fixture.processes[0];
        uint8_t *payload = malloc(size + 1u);
        CHECK(payload != NULL);
        memcpy(payload, lies, size);
        one->events.failed(one->events.self, 1, payload, size);
        free(payload);
        CHECK(strstr(bw_link_failure_of(one->link)->text, "can't be read") != NULL);
        CHECK_EQ(bw_link_failure_of(one->link)->worker, UINT32_MAX);
        tear_down(&fixture);
    }
    static fixture fixture;
    static const uint8_t strange[] = {1, 0, 0, 0, 2, 0, 0, 0, 's', 0, 't', 0, 't'};
    set_up_two(&fixture);
    process *one = &fixture.processes[0];
    one->events.failed(one->events.self, 1, strange, sizeof strange);
    check_link_failure(one, true, 1, UINT32_MAX, "s?", "t?t");  // worker 1 is not of process 1
    tear_down(&fixture);
}

TEST_MAIN(TEST(flow_over_processes_gives_what_one_gives), TEST(batches_of_many_blocks_arrive_whole),
          TEST(windows_are_bounded_in_bytes),
          TEST(item_that_cannot_be_encoded_fails_the_step_it_goes_into),
          TEST(item_that_cannot_be_decoded_fails_the_step_it_came_for),
          TEST(failed_encoding_leaves_what_was_written_before),
          TEST(link_refuses_what_a_process_may_not_say), TEST(kinds_that_are_not_a_workers_are_refused),
          TEST(epochs_closed_by_others_do_not_go_back), TEST(worker_refuses_what_its_peers_may_not_send),
          TEST(items_for_other_workers_are_refused), TEST(window_binds_senders_elsewhere),
          TEST(states_follow_the_mesh), TEST(failure_here_stops_and_is_told_to_the_others),
          TEST(failure_outside_of_workers_is_told_too), TEST(broken_connections_are_nobodys_report),
          TEST(long_texts_lose_their_middle_between_characters),
          TEST(reports_of_failure_are_read_with_care))
