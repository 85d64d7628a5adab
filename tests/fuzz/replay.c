// replay.c - runs a fuzz target over the files of a corpus, without libFuzzer: replay-fuzz_NAME FOLDER...
//
// The name of a file is printed before it is run, so that the last one is to blame for a crash.

#define _DEFAULT_SOURCE  // scandir()

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static void
die(const char *what, const char *path)
{
    perror(path);
    fprintf(stderr, "replay: can't %s %s\n", what, path);
    exit(EXIT_FAILURE);
}

static void
replay_file(const char *path)
{
    printf("%s\n", path);
    fflush(stdout);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) die("open", path);
    size_t size = (size_t)ftell(file);
    rewind(file);
    uint8_t *data = malloc(size > 0 ? size : 1);  // of its exact size: a read behind it shows under ASan
    if (data == NULL || fread(data, 1, size, file) != size) die("read", path);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static unsigned
replay_folder(const char *folder)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0) die("list", folder);
    unsigned replayed = 0;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            char path[4096];
            if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name) >= sizeof path)
                die("name", entries[i]->d_name);
            replay_file(path);
            replayed++;
        }
        free(entries[i]);
    }
    free(entries);
    return replayed;
}

int
main(int argc, char **argv)
{
    if (LLVMFuzzerInitialize != NULL) LLVMFuzzerInitialize(&argc, &argv);
    unsigned replayed = 0;
    for (int i = 1; i < argc; i++) replayed += replay_folder(argv[i]);
    printf("%u passed, %u failed\n", replayed, replayed == 0);
    return replayed == 0 ? EXIT_FAILURE : EXIT_SUCCESS;  // an empty corpus proves nothing
}
