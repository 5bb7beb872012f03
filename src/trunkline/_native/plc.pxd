from libc.stdint cimport int16_t, uint8_t, uint32_t


cdef extern from "trunkline/plc.h" nogil:
    enum:
        TL_PLC_MIN_HZ
        TL_PLC_MAX_HZ
        TL_PLC_MAX_CHANNELS

    ctypedef struct tl_plc:
        pass

    size_t tl_plc_size(uint32_t rate_hz, uint32_t n_channels)
    tl_plc *tl_plc_init(void *mem, uint32_t rate_hz, uint32_t n_channels)
    void tl_plc_reset(tl_plc *plc)
    void tl_plc_play(tl_plc *plc, int16_t *pcm, size_t n_samples)
    void tl_plc_conceal(tl_plc *plc, int16_t *out, size_t n_samples)
    void tl_plc_noise(tl_plc *plc, int16_t *out, size_t n_samples)
    void tl_plc_set_noise(tl_plc *plc, const uint8_t *payload, size_t n_bytes)
    size_t tl_plc_compress(tl_plc *plc, int16_t *pcm, size_t n_samples, size_t most, size_t n_blended)
    size_t tl_plc_expand(tl_plc *plc, int16_t *pcm, size_t n_samples, size_t most)
