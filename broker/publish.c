/*
 * broker/publish.c - an event's way from a publisher to every subscriber, on this reactor and the others.
 *
 * The publisher's part counts receivers and finds destinations in its own table, checks that each has credit (all or
 * none), copies the event once for all other reactors, and delivers here. A part that receives one looks its members up
 * again and delivers. Each delivery encodes the event once for each format; encodings lie one after the other on a page, so
 * subscribers of the same topics get one long run of bytes.
 *
 * A publish delivers to all subscribers of a reactor at once: 30 to 100 ns each (measured with 1,000 and 9,000 on one reactor), so
 * up to 10 ms where 100,000 are on one, and nothing comes between. What costs most of a fan-out is to send it, 4 to 10 us for each
 * connection of the loopback; that is the connections' hooks, of which a turn runs a few hundred (runtime/reactor.c).
 *
 * Proof: tests/broker/publish_test.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/part.h"
#include "runtime/probe.h"

enum {
    INLINE_BYTES = 40,
    PAGE_BYTES = (64 << 10) - sizeof(struct weir_buffer),
    MAIL_SHARD = 1u << 4, /* weir_mail.flags */
};

/* Where a publish goes. */
struct route {
    struct weir_name *name; /* NULL: the topic has no entry */
    uint64_t hash;          /* of the topic */
    struct weir_reactor_set present;
    struct weir_reactor_set paused;
    uint64_t receivers;
};

/* The topic's, also for those that are subscribed to a pattern. Globs are matched once for a name. */
static const struct weir_policy *policy_of(struct weir_part *part, const struct route *route, struct weir_slice topic)
{
    const struct weir_broker *broker = part->broker;
    struct weir_known_policy *known = &part->known_policies[route->hash % WEIR_KNOWN_POLICIES];
    if (broker->policy_count == 0)
        return &broker->default_policy;
    if (route->name && route->name->policy)
        return route->name->policy;
    if (known->policy && known->hash == route->hash)
        return known->policy;
    const struct weir_policy *policy = weir_policy_for(broker->policies, broker->policy_count, &broker->default_policy,
                                                       (const char *)topic.bytes, topic.byte_count);
    if (route->name)
        route->name->policy = policy;
    else
        *known = (struct weir_known_policy){route->hash, policy};
    return policy;
}

static void add_to_route(struct route *route, const struct weir_name *name)
{
    weir_reactor_set_add(&route->present, &name->present);
    route->receivers += name->total;
}

static void on_matched(void *context, struct weir_name *name)
{
    struct weir_part *part = context;
    if (part->matched_count == part->matched_room) {
        uint32_t room = part->matched_room ? part->matched_room * 2 : 16;
        struct weir_name **grown = realloc(part->matched, room * sizeof *grown);
        WEIR_ASSERT(grown != NULL); /* at most as many as there are patterns */
        part->matched = grown;
        part->matched_room = room;
    }
    part->matched[part->matched_count++] = name;
}

/* The topic's entry and the patterns that match it; the latter stay in part->matched. */
static struct route find_route(struct weir_part *part, const struct weir_publication *publication)
{
    struct route route = {.hash = weir_names_hash(&part->names, publication->kind, publication->name)};
    route.name = weir_names_find(&part->names, publication->kind, route.hash, publication->name);
    if (route.name) {
        add_to_route(&route, route.name);
        weir_reactor_set_add(&route.paused, &route.name->paused);
    }
    part->matched_count = 0;
    if (publication->kind == WEIR_NAME_TOPIC)
        weir_names_matching(&part->names, publication->name, on_matched, part);
    for (uint32_t i = 0; i < part->matched_count; i++) {
        const struct weir_name *pattern = part->matched[i];
        add_to_route(&route, pattern);
        if (weir_reactor_set_any(&pattern->paused) && weir_policy_may_pause(policy_of(part, &route, publication->name)))
            weir_reactor_set_add(&route.paused, &pattern->paused);
    }
    return route;
}

/* Bytes of the event on this part's page of a format; NULL: no memory. */
static const struct weir_encoding *encode(struct weir_part *part, const struct weir_format *format,
                                          const struct weir_publication *publication)
{
    struct weir_encoding *encoding = &part->encodings[format->number];
    if (encoding->stamp == part->stamp)
        return encoding;
    size_t bytes = format->byte_count(publication);
    struct weir_buffer *page = encoding->page;
    if (page && page->refs == 1)
        encoding->page_used = 0; /* everybody has sent theirs: the page is still warm */
    if (!page || page->byte_count - encoding->page_used < bytes) {
        weir_windows_relieve(part);
        struct weir_buffer *fresh = weir_buffer_take(part->reactor, bytes > PAGE_BYTES ? bytes : PAGE_BYTES);
        if (!fresh)
            return NULL;
        if (page)
            weir_buffer_drop(part->reactor, page);
        encoding->page = fresh;
        encoding->page_used = 0;
    }
    encoding->stamp = part->stamp;
    encoding->buffer = encoding->page;
    encoding->bytes = encoding->page->bytes + encoding->page_used;
    encoding->byte_count = (uint32_t)bytes;
    format->encode(publication, encoding->page->bytes + encoding->page_used);
    encoding->page_used += (uint32_t)bytes;
    return encoding;
}

static void deliver_to_members(struct weir_part *part, struct weir_name *name, const struct weir_publication *publication,
                               const struct weir_policy *policy)
{
    part->stamp++; /* encodings of an earlier event are not this one's */
    for (uint32_t i = 0; i < name->member_count; i++) {
        struct weir_subscriber *subscriber = name->members[i]->subscriber;
        const struct weir_encoding *encoding = encode(part, subscriber->format, publication);
        if (!encoding) {
            part->counters.evicted_memory++; /* one lost message would lie: the connection says so by its end */
            weir_subscriber_evict(subscriber, "no memory");
            continue;
        }
        weir_subscriber_deliver(subscriber, encoding->buffer, encoding->bytes, encoding->byte_count, policy);
        part->counters.delivered_bytes += encoding->byte_count;
    }
    part->counters.delivered += name->member_count;
}

/* Topic first, then patterns, as Redis has it. */
static void deliver_here(struct weir_part *part, const struct route *route, const struct weir_publication *publication)
{
    struct weir_name *name = route->name;
    const struct weir_policy *policy = policy_of(part, route, publication->name);
    if (name && name->member_count > 0)
        deliver_to_members(part, name, publication, policy);
    for (uint32_t i = 0; i < part->matched_count; i++) {
        struct weir_name *pattern = part->matched[i];
        if (pattern->member_count == 0)
            continue;
        struct weir_publication by_pattern = *publication;
        by_pattern.by_pattern = true;
        by_pattern.pattern = pattern->bytes;
        deliver_to_members(part, pattern, &by_pattern, policy);
    }
    weir_record(&part->reactor->recorder, WEIR_RECORD_DELIVER, publication->id, publication->cause_id,
                name ? (uint32_t)name->hash : 0, name ? name->member_count : 0);
}

/* The first reactor on the way that has no slot for us; the reactor's own index: all have. */
static uint32_t without_credit(struct weir_reactor *reactor, const struct weir_reactor_set *present)
{
    for (uint32_t i = 0; i < reactor->count; i++)
        if (i != reactor->index && weir_reactor_set_has(present, i) && weir_mail_credit(reactor, i) == 0)
            return i;
    return reactor->index;
}

static void put_inline(struct weir_mail *mail, const struct weir_publication *publication)
{
    size_t name_bytes = publication->name.byte_count;
    memcpy(mail->bytes, publication->name.bytes, name_bytes);
    memcpy(mail->bytes + name_bytes, publication->body.bytes, publication->body.byte_count);
}

static uint32_t remote_count(const struct weir_reactor *reactor, const struct weir_reactor_set *present)
{
    uint32_t all = (uint32_t)(__builtin_popcountll(present->words[0]) + __builtin_popcountll(present->words[1]));
    return all - weir_reactor_set_has(present, reactor->index);
}

/* Name and body in one buffer with a reference for each reactor that gets it. */
static struct weir_buffer *copy_for_others(struct weir_reactor *reactor, const struct weir_publication *publication,
                                           uint32_t others)
{
    size_t name_bytes = publication->name.byte_count;
    struct weir_buffer *buffer = weir_buffer_take(reactor, name_bytes + publication->body.byte_count);
    if (!buffer)
        return NULL;
    memcpy(buffer->bytes, publication->name.bytes, name_bytes);
    memcpy(buffer->bytes + name_bytes, publication->body.bytes, publication->body.byte_count);
    for (uint32_t i = 1; i < others; i++)
        weir_buffer_hold(reactor, buffer);
    return buffer;
}

static void send_to(struct weir_reactor *reactor, uint32_t to, const struct weir_publication *publication,
                    struct weir_buffer *buffer)
{
    struct weir_mail *mail = weir_mail_reserve(reactor, to, WEIR_MAIL_PUBLISH, WEIR_LANE_REQUEST);
    WEIR_ASSERT(mail != NULL); /* credit was looked at, and only we use it */
    mail->id = publication->id;
    mail->cause_id = publication->cause_id;
    mail->flags = publication->kind == WEIR_NAME_SHARD ? MAIL_SHARD : 0;
    mail->body_bytes = (uint32_t)publication->body.byte_count;
    if (!buffer) {
        mail->spare = (uint16_t)publication->name.byte_count;
        put_inline(mail, publication);
        return;
    }
    mail->flags |= WEIR_MAIL_BUFFER;
    mail->words[0] = (uint64_t)(uintptr_t)buffer;
    mail->words[1] = publication->name.byte_count;
}

static int forward(struct weir_part *part, const struct weir_publication *publication, const struct weir_reactor_set *present,
                   uint32_t others)
{
    struct weir_reactor *reactor = part->reactor;
    struct weir_buffer *buffer = NULL;
    if (publication->name.byte_count + publication->body.byte_count > INLINE_BYTES) {
        buffer = copy_for_others(reactor, publication, others);
        if (!buffer)
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < reactor->count; i++)
        if (i != reactor->index && weir_reactor_set_has(present, i))
            send_to(reactor, i, publication, buffer);
    part->counters.forwarded += others;
    return 0;
}

static void wait_paused(struct weir_part *part, struct weir_publish_waiter *waiter)
{
    struct weir_waiter *head = &part->paused_waiters;
    waiter->paused = true;
    waiter->waiter.next = head;
    waiter->waiter.prev = head->prev;
    head->prev->next = &waiter->waiter;
    head->prev = &waiter->waiter;
}

static int must_wait(struct weir_part *part, const struct route *route, struct weir_publish_waiter *waiter)
{
    bool paused = weir_reactor_set_any(&route->paused);
    uint32_t full = without_credit(part->reactor, &route->present);
    if (!paused && full == part->reactor->index)
        return 0;
    part->counters.publishes_waited++;
    if (waiter && paused)
        wait_paused(part, waiter);
    else if (waiter) {
        waiter->paused = false;
        weir_mail_wait(part->reactor, full, &waiter->waiter);
    }
    return -EAGAIN;
}

int weir_broker_publish(struct weir_part *part, const struct weir_publication *publication,
                        struct weir_publish_waiter *waiter, uint64_t *receivers_out)
{
    if (publication->name.byte_count > WEIR_NAME_BYTES_MAX)
        return -ENAMETOOLONG;
    struct route route = find_route(part, publication);
    uint32_t others = remote_count(part->reactor, &route.present);
    if (others > 0 || weir_reactor_set_any(&route.paused)) {
        int result = must_wait(part, &route, waiter);
        if (result == 0 && others > 0)
            result = forward(part, publication, &route.present, others);
        if (result < 0)
            return result;
    }
    weir_record(&part->reactor->recorder, WEIR_RECORD_PUBLISH, publication->id, publication->cause_id,
                route.name ? (uint32_t)route.name->hash : 0, (uint32_t)route.receivers);
    part->counters.published++;
    if (weir_reactor_set_has(&route.present, part->reactor->index))
        deliver_here(part, &route, publication);
    *receivers_out = route.receivers;
    return 0;
}

uint64_t weir_broker_receivers(struct weir_part *part, enum weir_name_kind kind, struct weir_slice name)
{
    const struct weir_publication asked = {.kind = kind, .name = name};
    return find_route(part, &asked).receivers;
}

void weir_broker_publish_cancel(struct weir_part *part, struct weir_publish_waiter *waiter)
{
    if (!waiter->waiter.next)
        return;
    if (!waiter->paused) {
        weir_mail_wait_cancel(part->reactor, &waiter->waiter);
        return;
    }
    waiter->waiter.prev->next = waiter->waiter.next;
    waiter->waiter.next->prev = waiter->waiter.prev;
    waiter->waiter.next = waiter->waiter.prev = NULL;
}

/*
 * Some subscriber may be waited for no longer. They look again at the end of the turn: here somebody may be about to
 * close, and what a publisher sends would go to it still and make the next one wait for what is gone.
 */
void weir_publish_wake_paused(struct weir_part *part)
{
    part->wake_paused = true;
    weir_reactor_arm_hook(part->reactor, &part->hook);
}

/* All of them; those whose topic is still paused wait anew, behind the last one of now. */
void weir_publish_resume_paused(struct weir_part *part)
{
    struct weir_waiter *head = &part->paused_waiters;
    struct weir_waiter *last = head->prev;
    part->wake_paused = false;
    for (bool more = head->next != head; more;) {
        struct weir_waiter *waiter = head->next;
        more = waiter != last;
        head->next = waiter->next;
        waiter->next->prev = head;
        waiter->next = waiter->prev = NULL;
        waiter->resume(part->reactor, waiter->context);
    }
}

void weir_publish_on_mail(struct weir_reactor *reactor, uint32_t from, const struct weir_mail *mail)
{
    (void)from;
    struct weir_part *part = weir_part(reactor);
    struct weir_buffer *buffer = NULL;
    const uint8_t *bytes = mail->bytes;
    size_t name_bytes = mail->spare;
    if (mail->flags & WEIR_MAIL_BUFFER) {
        buffer = (struct weir_buffer *)(uintptr_t)mail->words[0];
        bytes = buffer->bytes;
        name_bytes = mail->words[1];
    }
    struct weir_publication publication = {
        .kind = mail->flags & MAIL_SHARD ? WEIR_NAME_SHARD : WEIR_NAME_TOPIC,
        .name = {bytes, name_bytes},
        .body = {bytes + name_bytes, mail->body_bytes},
        .id = mail->id,
        .cause_id = mail->cause_id,
    };
    struct route route = find_route(part, &publication);
    part->counters.received++;
    deliver_here(part, &route, &publication);
    if (buffer)
        weir_buffer_drop(reactor, buffer);
}

void weir_publish_init(struct weir_part *part)
{
    part->paused_waiters.next = part->paused_waiters.prev = &part->paused_waiters;
}

void weir_publish_deinit(struct weir_part *part)
{
    for (uint32_t i = 0; i < WEIR_FORMATS_MAX; i++)
        if (part->encodings[i].page)
            weir_buffer_drop(part->reactor, part->encodings[i].page);
    free(part->matched);
}
