#include "net/frame.h"

void
bw_frame_put_head(uint8_t *at, bw_frame_kind kind, uint8_t flags, uint32_t size)
{
    bw_put_u32(at, size);
    at[4] = (uint8_t)kind;
    at[5] = flags;
    at[6] = at[7] = 0;
}

bw_status
bw_frame_next(const uint8_t **at, const uint8_t *end, bw_frame *out)
{
    if (*at == end) return BW_EMPTY;
    const uint8_t *head = *at;
    if (end - head < BW_FRAME_HEAD) return BW_ECORRUPT;
    uint32_t size = bw_get_u32(head);
    if (head[6] != 0 || head[7] != 0 || size > (size_t)(end - head) - BW_FRAME_HEAD) return BW_ECORRUPT;
    *out = (bw_frame){.kind = head[4], .flags = head[5], .size = size, .payload = head + BW_FRAME_HEAD};
    *at = head + BW_FRAME_HEAD + size;
    return BW_OK;
}
