/* Sample-rate conversion by a polyphase FIR filter: every push gives at once all that is due.
 *
 * The rates are reduced to up : down. Output k lies at input time k * down / up, so n inputs in total have
 * given ceil(n * up / down) outputs, however they were cut. All of them are late by the same whole number of
 * output samples, tl_resample_delay; a flush pushes as many zeros as it takes to get those out.
 *
 * A bank holds the filter of one pair of rates and one quality. After its init it never changes and must not
 * be moved; any number of resamplers in any threads may share it, and it must outlive them.
 */
#ifndef TRUNKLINE_RESAMPLE_H
#define TRUNKLINE_RESAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trunkline/cpu.h"

#define TL_RESAMPLE_MIN_HZ 4000
#define TL_RESAMPLE_MAX_HZ 192000
#define TL_RESAMPLE_MAX_CHANNELS 8
#define TL_RESAMPLE_MAX_SAMPLES ((uint64_t)1 << 48) /* per channel and call */
#define TL_RESAMPLE_BANK_MAX_BYTES (1 << 20) /* past it: fewer phases, linearly interpolated */

/* In units of N, the Nyquist frequency of the lower rate, and of its period. */
typedef enum tl_resample_quality {
    TL_RESAMPLE_FAST = 0, /* 0.1 dB to 0.78, -1 dB at 0.85, -55 dB from 1.15; delay <= 9 periods */
    TL_RESAMPLE_VOICE,    /* 0.1 dB to 0.85, -85 dB from 1.15; delay <= 20 periods */
    TL_RESAMPLE_HIGH,     /* 0.01 dB to 0.91, -100 dB from 1; delay <= 72 periods */
} tl_resample_quality;

typedef struct tl_resample_bank tl_resample_bank;
typedef struct tl_resampler tl_resampler;

/* Rates are TL_RESAMPLE_MIN_HZ to TL_RESAMPLE_MAX_HZ. At most TL_RESAMPLE_BANK_MAX_BYTES. */
size_t tl_resample_bank_size(uint32_t in_hz, uint32_t out_hz, tl_resample_quality quality);
/* mem has tl_resample_bank_size bytes and is aligned for max_align_t. Takes 0.01 to a few ms. */
tl_resample_bank *tl_resample_bank_init(void *mem, uint32_t in_hz, uint32_t out_hz,
                                        tl_resample_quality quality);
/* Output samples. */
uint32_t tl_resample_delay(const tl_resample_bank *bank);
/* Multiplications an output sample, about: to judge how long a call will take. */
uint32_t tl_resample_cost(const tl_resample_bank *bank);

/* n_channels: 1 to TL_RESAMPLE_MAX_CHANNELS, interleaved. */
size_t tl_resampler_size(const tl_resample_bank *bank, uint32_t n_channels);
/* As tl_resample_bank_init. The state may be copied by memcpy. isa must be supported. */
tl_resampler *tl_resampler_init(void *mem, const tl_resample_bank *bank, tl_isa isa, uint32_t n_channels);
/* As if nothing had been pushed. */
void tl_resampler_reset(tl_resampler *resampler);

/* Output samples per channel that the next n_samples per channel will give: at most those that they give from
 * the start on, ceil(n_samples * up / down). n_samples <= TL_RESAMPLE_MAX_SAMPLES, here and below. */
uint64_t tl_resampler_due(const tl_resampler *resampler, uint64_t n_samples);

/* Push n_samples per channel; write tl_resampler_due of them and return that number. No pointer needs any
 * alignment; src and out must not overlap. s16 output is rounded to nearest even and saturates; float32 is
 * passed as it comes. Up to 64 KiB of stack. */
uint64_t tl_resampler_process_s16(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out);
uint64_t tl_resampler_process_f32(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out);
/* Write the last tl_resample_delay samples per channel, then reset. */
void tl_resampler_flush_s16(tl_resampler *resampler, void *out);
void tl_resampler_flush_f32(tl_resampler *resampler, void *out);

/* Convert a whole signal from a reset resampler, without the delay: writes n_samples * up / down samples per
 * channel, rounded to nearest even, and returns that number. Resets. dither adds triangular noise of +-1 step
 * before rounding, the same on every run. */
uint64_t tl_resampler_whole_size(const tl_resampler *resampler, uint64_t n_samples);
uint64_t tl_resampler_whole_s16(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out,
                                bool dither);
uint64_t tl_resampler_whole_f32(tl_resampler *resampler, const void *src, uint64_t n_samples, void *out);

#endif
