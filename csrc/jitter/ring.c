#include <string.h>

#include "jitter_state.h"

static uint8_t *block_at(const tl_jitter *jitter, uint32_t block)
{
    return (uint8_t *)jitter + jitter->blocks_offset + (size_t)block * (sizeof(uint32_t) + jitter->block_bytes);
}

static uint32_t following(const tl_jitter *jitter, uint32_t block)
{
    uint32_t number;
    memcpy(&number, block_at(jitter, block), sizeof number);
    return number;
}

static void set_following(tl_jitter *jitter, uint32_t block, uint32_t number)
{
    memcpy(block_at(jitter, block), &number, sizeof number);
}

void tl_jitter_init_blocks(tl_jitter *jitter)
{
    for (uint32_t i = 0; i < jitter->n_blocks; i++)
        set_following(jitter, i, i + 1 < jitter->n_blocks ? i + 1 : NO_BLOCK);
    jitter->free_block = 0;
    jitter->n_free = jitter->n_blocks;
}

uint32_t tl_jitter_blocks_for(const tl_jitter *jitter, size_t n_bytes)
{
    return (uint32_t)((n_bytes + jitter->block_bytes - 1) / jitter->block_bytes);
}

uint32_t tl_jitter_keep(tl_jitter *jitter, const void *payload, size_t n_bytes)
{
    const uint8_t *from = payload;
    const uint32_t first = jitter->free_block;
    uint32_t last = NO_BLOCK;
    while (n_bytes > 0) {
        const size_t n = n_bytes < jitter->block_bytes ? n_bytes : jitter->block_bytes;
        last = jitter->free_block;
        memcpy(block_at(jitter, last) + sizeof(uint32_t), from, n);
        jitter->free_block = following(jitter, last);
        jitter->n_free--;
        from += n;
        n_bytes -= n;
    }
    if (last == NO_BLOCK)
        return NO_BLOCK;
    set_following(jitter, last, NO_BLOCK);
    return first;
}

void tl_jitter_release(tl_jitter *jitter, uint32_t block)
{
    while (block != NO_BLOCK) {
        const uint32_t next = following(jitter, block);
        set_following(jitter, block, jitter->free_block);
        jitter->free_block = block;
        jitter->n_free++;
        block = next;
    }
}

const uint8_t *tl_jitter_peek(const tl_jitter *jitter, uint32_t block, uint32_t i)
{
    while (i-- > 0)
        block = following(jitter, block);
    return block_at(jitter, block) + sizeof(uint32_t);
}

void tl_jitter_read(const tl_jitter *jitter, uint32_t block, void *out, size_t n_bytes)
{
    uint8_t *to = out;
    for (; n_bytes > 0; block = following(jitter, block)) {
        const size_t n = n_bytes < jitter->block_bytes ? n_bytes : jitter->block_bytes;
        memcpy(to, block_at(jitter, block) + sizeof(uint32_t), n);
        to += n;
        n_bytes -= n;
    }
}
