#define _GNU_SOURCE  // mkdtemp

#include "testing/certificates.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define DAY_S 86400L

/// Who gives certificates.
typedef struct authority {
    EVP_PKEY *key;
    X509 *certificate;
    long serial;
} authority;

static void
must(int holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "certificates: %s failed\n", what);
    exit(1);
}

static FILE *
create(const char *folder, const char *name, const char *ending)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.%s", folder, name, ending);
    FILE *file = fopen(path, "w");
    must(file != NULL, path);
    return file;
}

static EVP_PKEY *
new_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    must(key != NULL, "a key");
    return key;
}

/// `issuer` NULL: signed by itself, an authority.
static X509 *
new_certificate(EVP_PKEY *key, const char *name, authority *issuer, long serial, int days)
{
    X509 *certificate = X509_new();
    must(certificate != NULL, "a certificate");
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -30 * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(certificate), days * DAY_S);
    X509_set_pubkey(certificate, key);
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(certificate,
                         issuer == NULL ? subject : X509_get_subject_name(issuer->certificate));
    if (issuer == NULL) {
        X509_EXTENSION *extension =
            X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
        must(extension != NULL && X509_add_ext(certificate, extension, -1), "an extension");
        X509_EXTENSION_free(extension);
    }
    must(X509_sign(certificate, issuer == NULL ? key : issuer->key, EVP_sha256()) > 0, "signing");
    return certificate;
}

static void
write_certificate(X509 *certificate, const char *folder, const char *name)
{
    FILE *file = create(folder, name, "pem");
    must(PEM_write_X509(file, certificate), "writing");
    fclose(file);
}

static void
open_authority(authority *authority, const char *folder, const char *name)
{
    authority->key = new_key();
    authority->certificate = new_certificate(authority->key, name, NULL, 1, 30);
    authority->serial = 1;
    write_certificate(authority->certificate, folder, name);
}

static void
close_authority(authority *authority)
{
    EVP_PKEY_free(authority->key);
    X509_free(authority->certificate);
}

/// It ends in `days` from now; below 0 it has ended.
static void
certify(authority *authority, const char *folder, const char *name, int days)
{
    EVP_PKEY *key = new_key();
    X509 *certificate = new_certificate(key, name, authority, ++authority->serial, days);
    write_certificate(certificate, folder, name);
    FILE *file = create(folder, name, "key");
    must(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), "writing");
    fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void
bw_certificates_make(char folder[64])
{
    snprintf(folder, 64, "/tmp/bytewax-test-XXXXXX");
    must(mkdtemp(folder) != NULL, "a folder");
    authority ca, other;
    open_authority(&ca, folder, "ca");
    open_authority(&other, folder, "other");
    certify(&ca, folder, "one", 1);
    certify(&ca, folder, "two", 1);
    certify(&ca, folder, "old", -1);
    certify(&other, folder, "foreign", 1);
    close_authority(&ca);
    close_authority(&other);
}

void
bw_certificates_remove(const char *folder)
{
    static const char *const NAMES[] = {"ca.pem",  "other.pem", "one.pem", "one.key",     "two.pem",
                                        "two.key", "old.pem",   "old.key", "foreign.pem", "foreign.key"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, NAMES[i]);
        must(unlink(path) == 0, path);
    }
    must(rmdir(folder) == 0, folder);
}
