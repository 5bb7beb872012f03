#include "codecs.h"

#include <string.h>

const tl_codec *tl_codec_find(const char *name)
{
    static const tl_codec *const codecs[] = {&tl_codec_pcmu, &tl_codec_pcma, &tl_codec_l16,
                                             &tl_codec_opus};

    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        if (strcmp(codecs[i]->name, name) == 0)
            return codecs[i];
    }
    return NULL;
}
