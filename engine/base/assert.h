// assert.h - what must hold or we are wrong. On in every build: a crash is better than a wrong snapshot.
#ifndef BW_BASE_ASSERT_H
#define BW_BASE_ASSERT_H

_Noreturn void bw_assert_failed(const char *condition, const char *file, int line);

#define BW_ASSERT(condition) ((condition) ? (void)0 : bw_assert_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define BW_ASSERT_SLOW(condition) ((void)sizeof(condition))
#else
#define BW_ASSERT_SLOW(condition) BW_ASSERT(condition)
#endif

#endif
