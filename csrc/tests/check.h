/* Checks for the C tests: each one counts, a failing one says what it saw, and the program goes on.
 *
 *     CHECK(cond);  CHECK_EQ_INT(got, want);  CHECK_EQ_MEM(got, want, n_bytes);
 *     guarded g = guarded_new(n_bytes, offset);  ... write g.data ...  CHECK_GUARDS(&g);  guarded_free(&g);
 *     return check_report();
 */
#ifndef TRUNKLINE_CHECK_H
#define TRUNKLINE_CHECK_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK_SHOWN_MAX 20 /* failures printed; all of them count */

static uint64_t check_passed, check_failed;

/* Count a check; true when this failure is to be printed. */
static inline bool check_count(bool ok, const char *file, int line)
{
    if (ok) {
        check_passed++;
        return false;
    }
    check_failed++;
    if (check_failed > CHECK_SHOWN_MAX)
        return false;
    printf("%s:%d: ", file, line);
    return true;
}

static inline void check_that(bool ok, const char *text, const char *file, int line)
{
    if (check_count(ok, file, line))
        printf("not so: %s\n", text);
}

static inline void check_eq_int(int64_t got, int64_t want, const char *text, const char *file, int line)
{
    if (check_count(got == want, file, line))
        printf("%s is %" PRId64 ", wanted %" PRId64 "\n", text, got, want);
}

static inline void check_eq_mem(const void *got, const void *want, size_t n_bytes, const char *text,
                                const char *file, int line)
{
    const uint8_t *g = got, *w = want;
    size_t i = 0;
    while (i < n_bytes && g[i] == w[i])
        i++;
    if (check_count(i == n_bytes, file, line))
        printf("%s differs first at byte %zu of %zu: 0x%02x, wanted 0x%02x\n", text, i, n_bytes, g[i], w[i]);
}

#define CHECK(cond) check_that((cond), #cond, __FILE__, __LINE__)
#define CHECK_EQ_INT(got, want) check_eq_int((int64_t)(got), (int64_t)(want), #got, __FILE__, __LINE__)
#define CHECK_EQ_MEM(got, want, n_bytes) check_eq_mem((got), (want), (n_bytes), #got, __FILE__, __LINE__)

static inline void *check_alloc(size_t n_bytes)
{
    void *block = malloc(n_bytes ? n_bytes : 1);
    if (!block) {
        printf("no memory for %zu bytes\n", n_bytes);
        exit(2);
    }
    return block;
}

/* n_bytes at an address that is offset past a multiple of 16, between guard bytes. To catch reads past
 * the end as well, give a source a block of its exact size and run under AddressSanitizer. */
typedef struct guarded {
    uint8_t *block;
    uint8_t *data;
    size_t n_bytes, n_before;
} guarded;

#define GUARD_BYTES 64
#define GUARD_VALUE 0xA7

static inline guarded guarded_new(size_t n_bytes, size_t offset)
{
    guarded g = {.n_bytes = n_bytes, .n_before = GUARD_BYTES + offset};
    g.block = check_alloc(g.n_before + n_bytes + GUARD_BYTES);
    g.data = g.block + g.n_before;
    memset(g.block, GUARD_VALUE, g.n_before + n_bytes + GUARD_BYTES);
    return g;
}

static inline bool guarded_intact(const guarded *g)
{
    for (size_t i = 0; i < g->n_before; i++) {
        if (g->block[i] != GUARD_VALUE)
            return false;
    }
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        if (g->data[g->n_bytes + i] != GUARD_VALUE)
            return false;
    }
    return true;
}

#define CHECK_GUARDS(g) CHECK(guarded_intact(g))

static inline void guarded_free(guarded *g)
{
    free(g->block);
    g->block = g->data = NULL;
}

/* How many random cases a test takes: as many as are usual for it, or TRUNKLINE_EXAMPLES. */
static inline uint32_t check_examples(uint32_t usual)
{
    const char *given = getenv("TRUNKLINE_EXAMPLES");
    return given ? (uint32_t)strtoul(given, NULL, 10) : usual;
}

/* The exit status of the test program. */
static inline int check_report(void)
{
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", check_passed, check_failed);
    return check_failed || !check_passed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
