/*
 * base/hash.h - 64-bit hash of short byte strings (names, keys), seeded against chosen collisions.
 *
 * A multiply-and-fold hash in the manner of wyhash (Wang Yi): eight bytes a step, one 64x64->128
 * multiplication each. Not cryptographic: the seed keeps an outsider from preparing collisions.
 */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t weir_hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t weir_hash_u64(uint64_t value, uint64_t seed)
{
    return weir_hash_mix(value ^ 0x9e3779b97f4a7c15u, seed ^ 0xe7037ed1a0b428dbu);
}

static inline uint64_t weir_hash_bytes(const void *bytes, size_t count, uint64_t seed)
{
    const unsigned char *at = bytes;
    uint64_t hash = seed ^ 0xa0761d6478bd642fu;
    size_t left = count;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = weir_hash_mix(word ^ 0xe7037ed1a0b428dbu, hash ^ 0x8ebc6af09c88c6e3u);
    }
    uint64_t tail = 0;
    if (left > 0)
        memcpy(&tail, at, left);
    return weir_hash_mix(tail ^ count, hash ^ 0x589965cc75374cc3u);
}

#endif
