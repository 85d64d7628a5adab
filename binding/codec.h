// codec.h - Python items as bytes for a worker of another process, and back: equal objects of the same exact
// type, or an error.
#ifndef BW_BINDING_CODEC_H
#define BW_BINDING_CODEC_H

#include "compat.h"

#include "base/block.h"
#include "channel/batch.h"
#include "state.h"

/// Appends the batch, whose references it leaves alone. BW_EHOST: the exception names the item that can't be
/// encoded, or the user's code was interrupted. BW_ENOMEM. What was appended then is of no use. Attached;
/// the items' own code may run (pickle).
bw_status bw_codec_encode(bw_engine_state *state, const bw_batch *batch, bw_writer *writer);

/// Fills a batch that is empty and has its shape and room for `count` from what encode() wrote. BW_ECORRUPT:
/// encode() never writes such bytes. BW_EHOST: the exception says why. It holds nothing then. Keys are exact
/// str; hashes of a keyed batch are computed here, indices of partitions are as they came. Attached; the items'
/// own code may run, so only bytes of a peer that proved who it is may come here.
/// `loads` stands in for pickle.loads(); NULL: the real one.
bw_status bw_codec_decode(bw_engine_state *state, PyObject *loads, const uint8_t *bytes, size_t size,
                          uint32_t count, bw_batch *batch);

// For tests: _engine._encode() and _engine._decode(), on batches of any length.
PyObject *bw_codec_encode_list(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *bw_codec_decode_list(PyObject *module, PyObject *args, PyObject *kwargs);

#endif
