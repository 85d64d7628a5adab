// signals.h - how signals reach a run that sleeps in the engine: for its time the pipe of its waker is
// Python's wake-up descriptor.
#ifndef BW_BINDING_SIGNALS_H
#define BW_BINDING_SIGNALS_H

#include "compat.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct bw_signals {
    bool installed;   // false on any thread but the main one, which alone gets signals
    int previous_fd;  // -1: there was none
} bw_signals;

/// Any thread, attached. 0, or -1 with an exception.
int bw_signals_install(bw_signals *signals, int wake_fd);

/// The same thread, attached; keeps a pending exception.
void bw_signals_restore(const bw_signals *signals);

/// Passes the numbers on to who had the descriptor before (an event loop), and runs Python's handlers.
/// 0, or -1 with what a handler raised.
int bw_signals_check(const bw_signals *signals, const uint8_t *numbers, uint32_t count);

#endif
