/* serve/typo.h - the name that somebody meant who typed another one. */
#ifndef WEIR_SERVE_TYPO_H
#define WEIR_SERVE_TYPO_H

#include <stdint.h>

struct typo {
    const char *word; /* as typed; must stay */
    const char *best;
    uint32_t distance;
};

void typo_init(struct typo *typo, const char *word);
void typo_try(struct typo *typo, const char *name); /* one of the names there are; must stay */
const char *typo_best(const struct typo *typo);     /* the nearest; NULL: none is near */

#endif
