/*
 * serve/typo.c - the least number of letters inserted, left out, changed or swapped with the next.
 *
 * Near is one for three letters: a suggestion that is no help is worse than none. Bounded by TYPO_LETTERS_MAX.
 * Proof: tests/serve/typo_test.c.
 */
#include "serve/typo.h"

#include <stddef.h>
#include <string.h>

enum { TYPO_LETTERS_MAX = 32 };

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Three rows of the table of distances between all beginnings of the two are enough. */
static uint32_t distance_of(const char *a, size_t a_length, const char *b, size_t b_length)
{
    uint32_t rows[3][TYPO_LETTERS_MAX + 1];
    uint32_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (uint32_t j = 0; j <= b_length; j++)
        above[j] = j;
    for (uint32_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (uint32_t j = 1; j <= b_length; j++) {
            row[j] = least(above[j - 1] + (a[i - 1] != b[j - 1]), least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        uint32_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b_length];
}

void typo_init(struct typo *typo, const char *word)
{
    *typo = (struct typo){.word = word, .distance = UINT32_MAX};
}

void typo_try(struct typo *typo, const char *name)
{
    size_t word_length = strlen(typo->word), name_length = strlen(name);
    if (word_length > TYPO_LETTERS_MAX || name_length > TYPO_LETTERS_MAX)
        return;
    uint32_t distance = distance_of(typo->word, word_length, name, name_length);
    if (distance > (name_length + 2) / 3 || distance >= typo->distance)
        return;
    typo->best = name;
    typo->distance = distance;
}

const char *typo_best(const struct typo *typo)
{
    return typo->best;
}
