// certificates.h - PEM files for tests of TLS. What cannot be made ends the test.
#ifndef BW_TESTING_CERTIFICATES_H
#define BW_TESTING_CERTIFICATES_H

/// Makes a new folder with the certificate of an authority, ca.pem, and of others that it gave: one.pem with one.key, two,
/// and old, whose time is over. foreign is of another authority, other.pem.
void bw_certificates_make(char folder[64]);
void bw_certificates_remove(const char *folder);

#endif
