// check.h - C unit tests: CHECKs that say what was there, each test in a child process of its own.
// Only tests include it. TEST_MAIN runs all, or those named on the command line.
#ifndef BW_TESTING_CHECK_H
#define BW_TESTING_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct check_test {
    const char *name;
    void (*run)(void);
} check_test;

#define CHECK(condition) \
    ((condition) \
         ? (void)0 \
         : (fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition), exit(1)))

#define CHECK_EQ(got, wanted) \
    check_equal((long long)(got), (long long)(wanted), #got, __FILE__, __LINE__)

static inline void
check_equal(long long got, long long wanted, const char *expression, const char *file, int line)
{
    if (got == wanted) return;
    fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", file, line, expression, got, wanted);
    exit(1);
}

/// Runs one test in a child, so that a crash is one failure. Returns whether it passed.
static inline int
check_run(const check_test *test)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        return 0;
    }
    if (child == 0) {
        test->run();
        exit(0);  // not _exit: the leak checker reports at exit
    }
    int status;
    if (waitpid(child, &status, 0) != child) return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 1;
    if (WIFSIGNALED(status)) fprintf(stderr, "%s: signal %d\n", test->name, WTERMSIG(status));
    return 0;
}

static inline int
check_main(int argc, char **argv, const check_test *tests, size_t count)
{
    size_t passed = 0, failed = 0;
    for (size_t i = 0; i < count; i++) {
        int wanted = argc < 2;
        for (int k = 1; k < argc; k++) wanted |= strcmp(argv[k], tests[i].name) == 0;
        if (!wanted) continue;
        int ok = check_run(&tests[i]);
        passed += ok ? 1 : 0;
        failed += ok ? 0 : 1;
        printf("%s %s\n", ok ? "ok    " : "FAILED", tests[i].name);
    }
    printf("%zu passed, %zu failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

#define TEST(function) {#function, function}
#define TEST_MAIN(...) \
    int main(int argc, char **argv) \
    { \
        static const check_test tests[] = {__VA_ARGS__}; \
        return check_main(argc, argv, tests, sizeof tests / sizeof tests[0]); \
    }

#endif
