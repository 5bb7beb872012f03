#define _GNU_SOURCE /* dladdr */
#include "trunkline/opus.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#if defined(TL_OPUS_BUILT_IN)
/* libopus's own names, with prototypes of ours. */
const char *opus_get_version_string(void);
const char *opus_strerror(int code);
int opus_encoder_get_size(int n_channels);
int opus_encoder_init(void *state, int32_t rate_hz, int n_channels, int application);
int32_t opus_encode(void *state, const int16_t *pcm, int n_samples, void *packet, int32_t n_bytes_max);
int32_t opus_encode_float(void *state, const float *pcm, int n_samples, void *packet, int32_t n_bytes_max);
int opus_encoder_ctl(void *state, int request, ...);
int opus_decoder_get_size(int n_channels);
int opus_decoder_init(void *state, int32_t rate_hz, int n_channels);
int opus_decode(void *state, const void *packet, int32_t n_bytes, int16_t *pcm, int n_samples, int fec);
int opus_decode_float(void *state, const void *packet, int32_t n_bytes, float *pcm, int n_samples, int fec);
int opus_decoder_ctl(void *state, int request, ...);
#endif

typedef void (*function)(void);

/* What to find, and where in the table it goes: every pointer to a function has the size of any other. */
static const struct {
    const char *name;
    size_t offset;
} symbols[] = {
    {"opus_get_version_string", offsetof(tl_opus_library, version)},
    {"opus_strerror", offsetof(tl_opus_library, strerror)},
    {"opus_encoder_get_size", offsetof(tl_opus_library, encoder_size)},
    {"opus_encoder_init", offsetof(tl_opus_library, encoder_init)},
    {"opus_encode", offsetof(tl_opus_library, encode)},
    {"opus_encode_float", offsetof(tl_opus_library, encode_float)},
    {"opus_encoder_ctl", offsetof(tl_opus_library, encoder_ctl)},
    {"opus_decoder_get_size", offsetof(tl_opus_library, decoder_size)},
    {"opus_decoder_init", offsetof(tl_opus_library, decoder_init)},
    {"opus_decode", offsetof(tl_opus_library, decode)},
    {"opus_decode_float", offsetof(tl_opus_library, decode_float)},
    {"opus_decoder_ctl", offsetof(tl_opus_library, decoder_ctl)},
};

static bool fill(tl_opus_library *library, void *handle, char *reason, size_t reason_bytes)
{
    memset(library, 0, sizeof *library);
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *const found = dlsym(handle, symbols[i].name);
        if (!found) {
            snprintf(reason, reason_bytes, "it has no %s", symbols[i].name);
            return false;
        }
        memcpy((char *)library + symbols[i].offset, &found, sizeof(function));
    }
    library->has_pcm24 = dlsym(handle, "opus_encode24") != NULL;
    return true;
}

bool tl_opus_open(tl_opus_library *library, const char *path, char *reason, size_t reason_bytes)
{
    /* A relative path would be one of the working directory's, which may be anybody's. */
    if (strchr(path, '/') && path[0] != '/') {
        snprintf(reason, reason_bytes, "not an absolute path");
        return false;
    }
    void *const handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *const error = dlerror();
        snprintf(reason, reason_bytes, "%s", error ? error : "it cannot be loaded");
        return false;
    }
    if (!fill(library, handle, reason, reason_bytes)) {
        dlclose(handle);
        return false;
    }
    return true;
}

bool tl_opus_built_in(tl_opus_library *library)
{
#if defined(TL_OPUS_BUILT_IN)
    *library = (tl_opus_library){
        .version = opus_get_version_string,
        .strerror = opus_strerror,
        .encoder_size = opus_encoder_get_size,
        .encoder_init = opus_encoder_init,
        .encode = opus_encode,
        .encode_float = opus_encode_float,
        .encoder_ctl = opus_encoder_ctl,
        .decoder_size = opus_decoder_get_size,
        .decoder_init = opus_decoder_init,
        .decode = opus_decode,
        .decode_float = opus_decode_float,
        .decoder_ctl = opus_decoder_ctl,
    };
    return true;
#else
    (void)library;
    return false;
#endif
}

bool tl_opus_path(const tl_opus_library *library, char *path, size_t path_bytes)
{
    Dl_info info;
    void *address;
    memcpy(&address, &library->version, sizeof address);
    if (!dladdr(address, &info) || !info.dli_fname)
        return false;
    snprintf(path, path_bytes, "%s", info.dli_fname);
    return true;
}
