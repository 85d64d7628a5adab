// loopback.h - sockets of 127.0.0.1 for tests. What fails ends the test.
#ifndef BW_TESTING_LOOPBACK_H
#define BW_TESTING_LOOPBACK_H

#define BW_LOOPBACK_TEXT 32

/// Listens on a free port. Returns the descriptor; `text`: "127.0.0.1:port".
int bw_loopback_listen(char text[BW_LOOPBACK_TEXT]);

/// Connects to such a text. Returns the descriptor.
int bw_loopback_connect(const char *text);

#endif
