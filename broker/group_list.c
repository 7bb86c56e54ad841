/*
 * broker/group_list.c - the groups of all reactors, for those who ask for all.
 *
 * Each reactor writes its own block; the last answer hands them over together. Cold: it allocates.
 * Proof: tests/clients/kafka_test.py, crash_test.py.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/coordinator.h"
#include "broker/keep.h"

struct listing;

struct share { /* one reactor's */
    struct weir_ask ask;
    struct listing *listing;
    struct weir_group_view *views; /* with their strings behind them */
    uint32_t count;
    size_t bytes; /* of strings */
    char *text;
    bool failed;
};

struct listing {
    struct weir_part *asker;
    weir_groups_listed_fn done;
    void *context;
    uint32_t left;
    uint32_t reactor_count;
    struct share shares[];
};

static void measure(void *context, const struct weir_group_view *view)
{
    struct share *share = context;
    share->count++;
    share->bytes += (size_t)view->id.byte_count + view->protocol_type.byte_count + view->last_reason.byte_count;
}

static void keep_text(struct share *share, struct weir_string *string)
{
    if (string->byte_count > 0)
        memcpy(share->text, string->bytes, string->byte_count);
    string->bytes = share->text;
    share->text += string->byte_count;
}

static void copy(void *context, const struct weir_group_view *view)
{
    struct share *share = context;
    struct weir_group_view *mine = &share->views[share->count++];
    *mine = *view;
    keep_text(share, &mine->id);
    keep_text(share, &mine->protocol_type);
    keep_text(share, &mine->last_reason);
    mine->protocol = mine->leader = (struct weir_string){"", 0};
}

static void on_asked(struct weir_part *part, struct weir_ask *ask)
{
    struct share *share = WEIR_CONTAINER(ask, struct share, ask);
    struct weir_groups *groups = weir_coordinator_groups(part);
    weir_groups_each(groups, measure, share);
    share->views = malloc(share->count * sizeof *share->views + share->bytes + 1);
    share->failed = !share->views;
    if (share->views) {
        share->text = (char *)&share->views[share->count];
        share->count = 0;
        weir_groups_each(groups, copy, share);
    }
    weir_ask_answer(part, ask);
}

static void finish(struct listing *listing)
{
    uint32_t count = 0;
    bool failed = false;
    for (uint32_t i = 0; i < listing->reactor_count; i++) {
        failed |= listing->shares[i].failed;
        count += listing->shares[i].count;
    }
    struct weir_group_view *views = failed ? NULL : malloc((count + 1) * sizeof *views);
    uint32_t used = 0;
    for (uint32_t i = 0; i < listing->reactor_count && views; i++) {
        memcpy(views + used, listing->shares[i].views, listing->shares[i].count * sizeof *views);
        used += listing->shares[i].count;
    }
    listing->done(listing->asker, views, used, listing->context);
    free(views);
    for (uint32_t i = 0; i < listing->reactor_count; i++)
        free(listing->shares[i].views);
    free(listing);
}

static void on_answered(struct weir_part *part, struct weir_ask *ask)
{
    (void)part;
    struct listing *listing = WEIR_CONTAINER(ask, struct share, ask)->listing;
    if (--listing->left == 0)
        finish(listing);
}

int weir_groups_list(struct weir_part *part, weir_groups_listed_fn done, void *context)
{
    uint32_t count = part->reactor->count;
    struct listing *listing = calloc(1, sizeof *listing + count * sizeof(struct share));
    if (!listing || !weir_keep_ready(part)) {
        free(listing);
        return listing ? -EAGAIN : -ENOMEM;
    }
    *listing = (struct listing){.asker = part, .done = done, .context = context, .left = count, .reactor_count = count};
    for (uint32_t i = 0; i < count; i++) { /* our own last: it may be the one that ends it */
        uint32_t to = (part->reactor->index + 1 + i) % count;
        struct share *share = &listing->shares[to];
        *share = (struct share){.ask = {.asked = on_asked, .answered = on_answered}, .listing = listing};
        weir_ask_send(part, to, &share->ask);
    }
    return 0;
}
