// tls.h - TLS 1.3 as a filter between a socket and a session: bytes in, bytes out, no socket and no clock.
// Both sides prove themselves by a certificate of the cluster's own authority (CA); whoever has one is let in, so
// that names in certificates mean nothing.
#ifndef BW_NET_TLS_H
#define BW_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/block.h"
#include "base/error.h"
#include "base/status.h"
#include "net/crypto.h"

typedef struct bw_tls bw_tls;                // certificate, key and authority; one for all streams
typedef struct bw_tls_stream bw_tls_stream;  // one connection

/// Reads PEM files: the certificate (with those between it and the CA), its key, the CA. BW_EINVAL: a file that can't be read or
/// holds something else, or a key that isn't the certificate's; `*error` names it. BW_ENOMEM.
BW_NODISCARD bw_status bw_tls_new(const char *cert, const char *key, const char *ca, bw_tls **out,
                                  bw_error *error);
void bw_tls_free(bw_tls *tls);  // NULL is allowed

/// `dials`: this side began the connection. BW_ENOMEM.
BW_NODISCARD bw_status bw_tls_stream_new(bw_tls *tls, bool dials, bw_tls_stream **out);
void bw_tls_stream_free(bw_tls_stream *stream);  // NULL is allowed

/// Takes bytes that came from the socket. BW_ENOMEM.
BW_NODISCARD bw_status bw_tls_stream_feed(bw_tls_stream *stream, const void *bytes, size_t size);

/// What is to be sent, as one block; `*out` NULL: nothing. To be asked for after each other call. BW_ENOMEM.
BW_NODISCARD bw_status bw_tls_stream_take(bw_tls_stream *stream, bw_block **out);

/// Goes on with the handshake: at the start of who dials, and after each feed() until it is done. BW_OK: done. BW_EMPTY: the
/// peer's turn. BW_ECORRUPT: it failed; `*error` says why.
BW_NODISCARD bw_status bw_tls_stream_handshake(bw_tls_stream *stream, bw_error *error);

/// After the handshake: reads up to `capacity` bytes of what was fed. BW_OK: there were some, perhaps there are more.
/// BW_EMPTY: none now. BW_CLOSED: none ever, the peer has closed. BW_ECORRUPT: `*error` says why.
BW_NODISCARD bw_status bw_tls_stream_read(bw_tls_stream *stream, uint8_t *bytes, size_t capacity,
                                          size_t *out, bw_error *error);

/// After the handshake: encrypts. BW_ENOMEM: the stream is broken.
BW_NODISCARD bw_status bw_tls_stream_write(bw_tls_stream *stream, const void *bytes, size_t size);

/// After the handshake: what nobody knows but the two ends of this connection, alike on both. BW_EIO.
BW_NODISCARD bw_status bw_tls_stream_binding(bw_tls_stream *stream, uint8_t out[BW_BINDING_BYTES]);

/// Has the next write go under a new key; write() does so by itself before a key wears out. BW_ENOMEM.
BW_NODISCARD bw_status bw_tls_stream_rekey(bw_tls_stream *stream);

/// Tells the peer that nothing follows.
void bw_tls_stream_close(bw_tls_stream *stream);

#endif
