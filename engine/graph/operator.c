#include "graph/operator.h"

bw_status
bw_output_start(bw_output *output, bw_shape shape)
{
    BW_ASSERT(output->wanted);
    bw_batch *batch = bw_batch_pool_get(output->pool, output->epoch);
    if (batch == NULL) return BW_ENOMEM;
    batch->shape = shape;
    bw_batch_list_insert(&output->made, batch);
    output->open = batch;
    return BW_OK;
}

void
bw_output_forward(bw_output *output, bw_batch *batch)
{
    BW_ASSERT(output->wanted && batch->epoch == output->epoch);
    batch->sender = UINT32_MAX;
    bw_batch_list_insert(&output->made, batch);
    output->open = NULL;
}
