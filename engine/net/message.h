// message.h - the frames of workers: what those of different processes tell each other, as bytes.
//
//     ASSIGN    u32 step | bytes                                    a partition that a worker lists for a step
//     READY     u32 worker | u8 what                               it has listed (0), built (1) all
//     DATA      u32 sender | u32 receiver | u32 exchange | u64 epoch | u32 size | u16 count | u8 half | u8 shape | bytes
//     MORE      u32 sender | bytes                                  go on where the DATA of this sender stopped
//     MARK      u32 sender | u32 receiver | u32 exchange | u64 epoch | u64 last
//     CREDIT    u32 sender | u32 receiver | u32 exchange | u8 half | u64 count | u64 bytes
//     PROGRESS  u32 worker | u8 what | u64 epoch                    it has begun (0), closed all before (1) an epoch
//
// Workers are counted through the whole cluster. DATA and MORE with BW_FRAME_MORE_FOLLOWS are not the last of
// their batch, all of whose items are `size` bytes. What a reader returns is checked for its form alone: whether such a worker or step exists,
// its caller must see.
#ifndef BW_NET_MESSAGE_H
#define BW_NET_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/status.h"
#include "channel/item.h"
#include "channel/queue.h"
#include "net/frame.h"

#define BW_FRAME_MORE_FOLLOWS 1

#define BW_DATA_HEAD 28  // bytes of a DATA payload before the items
#define BW_MORE_HEAD 4

// Longest name of a partition that an ASSIGN can carry.
#define BW_ASSIGN_NAME_BYTES (BW_RECORD_BYTES / 2)

typedef enum bw_ready { BW_READY_LISTED = 0, BW_READY_BUILT = 1 } bw_ready;
typedef enum bw_progress { BW_PROGRESS_BEGUN = 0, BW_PROGRESS_CLOSED = 1 } bw_progress;

// Each put appends one frame as a whole, in a block of its own if it must. BW_ENOMEM: nothing was appended.

/// A mark or a credit.
BW_NODISCARD bw_status bw_message_put(bw_writer *writer, uint32_t receiver, const bw_message *message);
BW_NODISCARD bw_status bw_ready_put(bw_writer *writer, uint32_t worker, bw_ready what);
BW_NODISCARD bw_status bw_progress_put(bw_writer *writer, uint32_t worker, bw_progress what,
                                       bw_epoch epoch);

/// BW_EINVAL: the name is longer than BW_ASSIGN_NAME_BYTES.
BW_NODISCARD bw_status bw_assign_put(bw_writer *writer, uint32_t step, bw_bytes name);

/// Makes room for `size` bytes in a row, where a frame may begin. BW_ENOMEM.
BW_NODISCARD bw_status bw_message_reserve(bw_writer *writer, size_t size);

/// The parts of DATA and MORE payloads before the items, into BW_DATA_HEAD and BW_MORE_HEAD bytes.
void bw_data_put_head(uint8_t *at, uint32_t receiver, const bw_message *message, uint32_t size);
void bw_more_put_head(uint8_t *at, uint32_t sender);

// All that follows is BW_ECORRUPT if the frame's form is not that of its kind; `*out` is set only with BW_OK.

/// DATA, MARK or CREDIT. Of DATA the message owns nothing yet; the items follow the head. `*size` is set for DATA alone.
BW_NODISCARD bw_status bw_message_read(const bw_frame *frame, uint32_t *receiver, uint32_t *size,
                                       bw_message *out);
BW_NODISCARD bw_status bw_more_read(const bw_frame *frame, uint32_t *sender);
BW_NODISCARD bw_status bw_ready_read(const bw_frame *frame, uint32_t *worker, bw_ready *what);
BW_NODISCARD bw_status bw_progress_read(const bw_frame *frame, uint32_t *worker, bw_progress *what,
                                        bw_epoch *epoch);

/// The name is borrowed from the frame.
BW_NODISCARD bw_status bw_assign_read(const bw_frame *frame, uint32_t *step, bw_bytes *name);

#endif
