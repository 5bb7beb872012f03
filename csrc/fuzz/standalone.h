/* Runs a libFuzzer target without libFuzzer: on the files named, or else on random bytes of a fixed seed, as many
 * times as TRUNKLINE_EXAMPLES says.
 * With clang: clang -DTL_LIBFUZZER -fsanitize=fuzzer,address,undefined ... */
#ifndef TRUNKLINE_FUZZ_STANDALONE_H
#define TRUNKLINE_FUZZ_STANDALONE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

#define FUZZ_REQUIRE(cond) \
    do { \
        if (!(cond)) { \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond); \
            abort(); \
        } \
    } while (0)

/* A block of exactly n_bytes, so that AddressSanitizer sees the first byte past it. */
static inline void *fuzz_alloc(size_t n_bytes)
{
    void *block = malloc(n_bytes ? n_bytes : 1);
    FUZZ_REQUIRE(block != NULL);
    return block;
}

#ifndef TL_LIBFUZZER

#ifndef FUZZ_RUNS
#define FUZZ_RUNS 5000
#endif
#define FUZZ_BYTES_MAX 512
#define FUZZ_FILE_BYTES_MAX (1 << 20)

static inline int fuzz_file(const char *path)
{
    uint8_t *data = fuzz_alloc(FUZZ_FILE_BYTES_MAX);
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        free(data);
        return EXIT_FAILURE;
    }
    const size_t n_bytes = fread(data, 1, FUZZ_FILE_BYTES_MAX, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, n_bytes);
    free(data);
    return EXIT_SUCCESS;
}

static inline uint32_t fuzz_random(uint64_t *state) /* the 64-bit LCG of Knuth's MMIX */
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

int main(int argc, char **argv)
{
    int status = EXIT_SUCCESS;
    for (int i = 1; i < argc; i++)
        status |= fuzz_file(argv[i]);
    const char *const given = getenv("TRUNKLINE_EXAMPLES");
    const unsigned long n_runs = given ? strtoul(given, NULL, 10) : FUZZ_RUNS;
    uint64_t state = 1;
    for (unsigned long run = 0; argc == 1 && run < n_runs; run++) {
        const size_t n_bytes = fuzz_random(&state) % (FUZZ_BYTES_MAX + 1);
        uint8_t *data = fuzz_alloc(n_bytes);
        for (size_t i = 0; i < n_bytes; i++)
            data[i] = (uint8_t)fuzz_random(&state);
        LLVMFuzzerTestOneInput(data, n_bytes);
        free(data);
    }
    return status;
}

#endif
#endif
