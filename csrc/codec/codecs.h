/* What the codecs of the table share; private to this directory. */
#ifndef TRUNKLINE_CODEC_CODECS_H
#define TRUNKLINE_CODEC_CODECS_H

#include "trunkline/codec.h"

extern const tl_codec tl_codec_pcmu;
extern const tl_codec tl_codec_pcma;
extern const tl_codec tl_codec_l16;
extern const tl_codec tl_codec_opus;

#endif
