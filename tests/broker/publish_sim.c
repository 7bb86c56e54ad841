/*
 * tests/broker/publish_sim.c - subscriptions and publishes over several reactors, with everything that delays them.
 *
 * Each reactor of host 0 publishes a stream of numbered events, as fast as credit allows. Subscribers are connections from
 * host 1 whose subscriptions come and go; some read slowly, some stall for seconds, some go away and come back on another
 * reactor. From the moment at which a subscription is confirmed, what each of them must get is written down at each publish.
 *
 * Held: what must come comes, once, and in each publisher's order; a publish answers what its reactor's table says; who is
 * told to wait is called again; when all is still, every table says the truth; and a stop ends every connection.
 */
#include "tests/sim/sim.h"

#include <weir/tcp.h>
#include <weir/timer.h>

#include "base/glob.h"
#include "broker/part.h"

enum {
    REACTORS_MAX = 4,
    CLIENTS_MAX = 10,
    EVENTS_MAX = 3000,
    BODY_BYTES_MAX = 2000,
    STEPS = 4000000,
    LOOK_EVERY = 32, /* steps between two looks whether all has come */
    KEYS = 8,
    TOPICS = 5, /* the first keys; the others are patterns */
};

static const char *const key_names[KEYS] = {"p.a", "p.b", "c.a", "o.a", "n.a", "p.*", "*", "[co].a"};

enum membership { NONE, ASKED, CONFIRMED };

/* What a client is owed of one event by one of its keys. */
enum owed { MAY = 0, MUST = 1, GOT = 2 };

struct head { /* of what is sent to a client */
    uint32_t byte_count; /* with this head */
    uint32_t key;
    uint32_t publisher;
    uint32_t number;
};

struct body { /* of an event, before filler */
    uint32_t publisher;
    uint32_t number;
};

struct world;

struct client {
    struct world *world;
    uint32_t number;
    /* The server's end. */
    struct weir_subscriber subscriber;
    struct weir_timer change; /* of its subscriptions */
    bool served;
    bool corked;
    bool evicted;
    uint32_t home;
    enum membership membership[KEYS];
    uint64_t dropped; /* by its window, connections before this one included */
    uint64_t missed;  /* where policies drop, of the events looked through */
    /* Its own. */
    struct weir_tcp *conn;
    struct weir_timer timer;
    uint32_t changes_left;
    uint32_t leaves_left;
    bool stalls;
    bool paused;
    bool greeted; /* the server's end is there */
    uint8_t input[sizeof(struct head) + BODY_BYTES_MAX];
    uint32_t input_bytes;
    uint32_t last_number[REACTORS_MAX]; /* of an event from that publisher, plus one */
    uint32_t seen_to[REACTORS_MAX];     /* events of that publisher below it have been looked through */
};

struct publisher {
    struct world *world;
    struct weir_reactor *reactor;
    struct weir_publish_waiter waiter;
    struct weir_timer timer;
    uint32_t index;
    uint32_t left;
    uint32_t next; /* the number of the next event */
    uint32_t topic; /* that is being tried */
    uint32_t filler;
    bool waiting;
};

struct event {
    uint8_t topic;
    uint8_t owed[CLIENTS_MAX][KEYS];
};

struct world {
    struct sim *sim;
    struct weir_runtime *server;
    struct weir_broker *broker;
    uint32_t reactors;
    uint32_t client_count;
    uint32_t topic_count; /* that are published to */
    uint32_t body_bytes_max;
    bool stopping;
    uint32_t looks;
    uint32_t served_count;
    struct client clients[CLIENTS_MAX];
    struct publisher publishers[REACTORS_MAX];
    struct event events[REACTORS_MAX][EVENTS_MAX];
};

/* Over all seeds: what the scenarios are for has happened. */
static struct {
    uint64_t waits, full_rings, pauses, evicted, dropped, leaves, confirmed, delivered, corks, memory;
} seen;

static bool matches(uint32_t key, uint32_t topic)
{
    const char *name = key_names[topic], *glob = key_names[key];
    return key < TOPICS ? key == topic : weir_glob_match(glob, strlen(glob), name, strlen(name));
}

static bool loses(uint32_t topic) /* its policy drops */
{
    return key_names[topic][0] == 'o' || key_names[topic][0] == 'n';
}

static struct weir_slice name_of(uint32_t key)
{
    return (struct weir_slice){(const uint8_t *)key_names[key], strlen(key_names[key])};
}

static enum weir_name_kind kind_of(uint32_t key)
{
    return key < TOPICS ? WEIR_NAME_TOPIC : WEIR_NAME_PATTERN;
}

static uint64_t chance(const struct world *world, uint64_t below)
{
    return weir_sim_below(world->sim->world, below);
}

/* ---- What a client sees ---- */

static uint32_t key_of(struct weir_slice name, bool pattern)
{
    for (uint32_t key = pattern ? TOPICS : 0; key < KEYS; key++)
        if (strlen(key_names[key]) == name.byte_count && memcmp(key_names[key], name.bytes, name.byte_count) == 0)
            return key;
    abort();
}

static size_t encoded_bytes(const struct weir_publication *publication)
{
    return sizeof(struct head) + publication->body.byte_count - sizeof(struct body);
}

static void encode(const struct weir_publication *publication, uint8_t *out)
{
    struct body body;
    memcpy(&body, publication->body.bytes, sizeof body);
    struct head head = {
        .byte_count = (uint32_t)encoded_bytes(publication),
        .key = publication->by_pattern ? key_of(publication->pattern, true) : key_of(publication->name, false),
        .publisher = body.publisher,
        .number = body.number,
    };
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, publication->body.bytes + sizeof body, publication->body.byte_count - sizeof body);
}

static const struct weir_format format = {.number = 0, .byte_count = encoded_bytes, .encode = encode};

/* Nothing that must have come before event `to` of the publisher is missing; what policies dropped is counted at the end. */
static void look_through(struct client *client, uint32_t publisher, uint32_t to)
{
    struct world *world = client->world;
    for (uint32_t at = client->seen_to[publisher]; at < to; at++) {
        const struct event *event = &world->events[publisher][at];
        for (uint32_t key = 0; key < KEYS; key++) {
            if (event->owed[client->number][key] != MUST)
                continue;
            if (loses(event->topic))
                client->missed++;
            else
                sim_fail(world->sim, __FILE__, __LINE__, "client %u did not get event %u of %u by %s; %u came",
                         client->number, at, publisher, key_names[key], to);
        }
    }
    if (to > client->seen_to[publisher])
        client->seen_to[publisher] = to;
}

static void take(struct client *client, const struct head *head, const uint8_t *filler)
{
    struct world *world = client->world;
    client->greeted = true;
    if (head->key >= KEYS) /* a reply: it keeps its place, and that is all there is to it */
        return;
    SIM_CHECK(world->sim, head->publisher < world->reactors);
    SIM_CHECK(world->sim, head->number < world->publishers[head->publisher].next);
    struct event *event = &world->events[head->publisher][head->number];
    SIM_CHECK(world->sim, matches(head->key, event->topic));
    SIM_CHECK(world->sim, event->owed[client->number][head->key] != GOT); /* once */
    SIM_CHECK(world->sim, head->number + 1 >= client->last_number[head->publisher]); /* in order */
    look_through(client, head->publisher, head->number);
    event->owed[client->number][head->key] = GOT;
    client->last_number[head->publisher] = head->number + 1;
    for (uint32_t i = 0; i + sizeof *head < head->byte_count; i++)
        SIM_EQUAL(world->sim, filler[i], (uint8_t)(head->publisher + head->number));
    seen.delivered++;
}

static void client_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    (void)reactor;
    struct client *client = weir_tcp_context(conn);
    const uint8_t *at = bytes;
    while (byte_count > 0) {
        struct head head;
        uint32_t wanted = sizeof head;
        memcpy(&head, client->input, sizeof head);
        if (client->input_bytes >= sizeof head)
            wanted = head.byte_count;
        SIM_CHECK(client->world->sim, wanted >= sizeof head && wanted <= sizeof client->input);
        size_t some = wanted - client->input_bytes < byte_count ? wanted - client->input_bytes : byte_count;
        memcpy(client->input + client->input_bytes, at, some);
        client->input_bytes += (uint32_t)some;
        at += some;
        byte_count -= some;
        memcpy(&head, client->input, sizeof head);
        if (client->input_bytes < sizeof head || client->input_bytes < head.byte_count)
            continue;
        client->input_bytes = 0;
        take(client, &head, client->input + sizeof head);
    }
}

/* ---- Clients ---- */

static void live(struct weir_reactor *reactor, struct weir_timer *timer, void *context);

static void client_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    struct client *client = context;
    uint8_t number = (uint8_t)client->number;
    client->conn = conn;
    client->input_bytes = 0;
    client->paused = client->greeted = false;
    SIM_EQUAL(client->world->sim, weir_tcp_write(conn, &number, 1), 0);
    weir_timer_set(reactor, &client->timer, chance(client->world, 20 * WEIR_MS_NS), live, client);
}

static void client_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)error;
    struct client *client = weir_tcp_context(conn);
    client->conn = NULL;
    if (!client->world->stopping)
        weir_timer_set(reactor, &client->timer, chance(client->world, 20 * WEIR_MS_NS), live, client);
}

static void dial(struct client *client, struct weir_reactor *reactor)
{
    static const struct weir_tcp_handlers handlers = {sizeof handlers, client_open, client_data, NULL, client_close};
    char address[32];
    snprintf(address, sizeof address, "10.0.0.1:%u", 100 + (unsigned)chance(client->world, client->world->reactors));
    SIM_EQUAL(client->world->sim, weir_tcp_connect(reactor, address, &handlers, NULL, client, &client->conn), 0);
}

/* Reads, stops reading for a while, leaves. */
static void live(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    struct client *client = context;
    struct world *world = client->world;
    uint64_t next_ns = chance(world, 20 * WEIR_MS_NS);
    (void)timer;
    if (world->stopping)
        return;
    if (!client->conn) {
        if (client->served)
            weir_timer_set(reactor, &client->timer, WEIR_MS_NS, live, client); /* the other end has not seen it yet */
        else
            dial(client, reactor);
        return;
    }
    if (client->paused) {
        client->paused = false;
        weir_tcp_resume(client->conn);
    } else if (client->greeted && client->leaves_left > 0 && chance(world, 8) == 0) {
        client->leaves_left--;
        seen.leaves++;
        if (chance(world, 2) == 0)
            weir_tcp_abort(client->conn);
        else
            weir_tcp_close(client->conn);
        return;
    } else if (client->stalls && client->changes_left > 0) {
        client->paused = true;
        weir_tcp_pause(client->conn);
        next_ns = chance(world, 2) == 0 ? chance(world, 8 * WEIR_S_NS) : chance(world, 50 * WEIR_MS_NS);
    }
    weir_timer_set(reactor, &client->timer, next_ns, live, client);
}

static int begin_clients(struct weir_reactor *reactor, void *context)
{
    struct world *world = context;
    for (uint32_t i = 0; i < world->client_count; i++)
        dial(&world->clients[i], reactor);
    return 0;
}

/* ---- The server's end of them ---- */

static void confirm(struct client *client)
{
    for (uint32_t key = 0; key < KEYS; key++)
        if (client->membership[key] == ASKED) {
            client->membership[key] = CONFIRMED;
            seen.confirmed++;
        }
}

static void on_installed(struct weir_subscriber *subscriber)
{
    struct client *client = WEIR_CONTAINER(subscriber, struct client, subscriber);
    SIM_CHECK(client->world->sim, client->corked);
    client->corked = false;
    confirm(client);
    weir_tcp_cork(subscriber->conn, false);
}

/* Nothing is owed by those keys any more. */
static void forgive(struct client *client, uint32_t first, uint32_t end)
{
    struct world *world = client->world;
    for (uint32_t publisher = 0; publisher < world->reactors; publisher++)
        for (uint32_t at = client->seen_to[publisher]; at < world->publishers[publisher].next; at++)
            for (uint32_t key = first; key < end; key++) {
                uint8_t *owed = &world->events[publisher][at].owed[client->number][key];
                *owed = *owed == MUST ? MAY : *owed;
            }
}

static void on_evicted(struct weir_subscriber *subscriber, const char *why)
{
    struct client *client = WEIR_CONTAINER(subscriber, struct client, subscriber);
    seen.memory += strcmp(why, "no memory") == 0;
    client->evicted = true;
    seen.evicted++;
    forgive(client, 0, KEYS);
}

static void say(struct client *client)
{
    struct head head = {.byte_count = sizeof head, .key = KEYS};
    if (weir_subscriber_reply(&client->subscriber, &head, sizeof head) < 0)
        weir_tcp_abort(client->subscriber.conn);
}

static void change(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    struct client *client = context;
    struct world *world = client->world;
    uint32_t key = (uint32_t)chance(world, KEYS);
    bool changed;
    (void)timer;
    if (world->stopping || client->evicted || client->changes_left == 0)
        return;
    client->changes_left--;
    if (client->membership[key] != NONE && chance(world, 2) == 0) {
        SIM_EQUAL(world->sim, weir_broker_unsubscribe(&client->subscriber, kind_of(key), name_of(key), &changed), 0);
        SIM_CHECK(world->sim, changed);
        client->membership[key] = NONE;
        forgive(client, key, key + 1);
        say(client);
    } else if (weir_broker_subscribe(&client->subscriber, kind_of(key), name_of(key), &changed) == 0) {
        SIM_EQUAL(world->sim, changed, client->membership[key] == NONE);
        client->membership[key] = client->membership[key] == NONE ? ASKED : client->membership[key];
        say(client);
    }
    if (weir_broker_installed(&client->subscriber)) {
        SIM_CHECK(world->sim, !client->corked || world->reactors > 1);
        if (!client->corked)
            confirm(client);
    } else if (!client->corked) {
        client->corked = true;
        seen.corks++;
        weir_tcp_cork(client->subscriber.conn, true);
    }
    weir_timer_set(reactor, &client->change, chance(world, 10 * WEIR_MS_NS), change, client);
}

static void served_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    (void)reactor, (void)context;
    weir_tcp_set_context(conn, NULL); /* not known yet */
}

static void served_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    struct world *world = sim_current->context;
    SIM_EQUAL(world->sim, byte_count, 1);
    struct client *client = &world->clients[*(const uint8_t *)bytes];
    SIM_CHECK(world->sim, !client->served);
    weir_tcp_set_context(conn, client);
    weir_subscriber_open(weir_part(reactor), &client->subscriber, conn, &format);
    client->subscriber.on_installed = on_installed;
    client->subscriber.on_evicted = on_evicted;
    memset(&client->change, 0, sizeof client->change); /* it may have been another reactor's */
    client->served = true;
    client->corked = client->evicted = false;
    client->home = weir_reactor_index(reactor);
    world->served_count++;
    say(client);
    weir_timer_set(reactor, &client->change, 0, change, client);
}

static void served_drain(struct weir_reactor *reactor, struct weir_tcp *conn)
{
    (void)reactor;
    struct client *client = weir_tcp_context(conn);
    if (client)
        weir_subscriber_pump(&client->subscriber);
}

static void served_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)error;
    struct client *client = weir_tcp_context(conn);
    if (!client)
        return;
    forgive(client, 0, KEYS);
    client->dropped += client->subscriber.window.dropped_count;
    client->subscriber.window.dropped_count = 0;
    weir_timer_cancel(reactor, &client->change);
    weir_subscriber_close(&client->subscriber);
    memset(client->membership, 0, sizeof client->membership);
    client->served = false;
    client->world->served_count--;
}

/* ---- Publishing ---- */

/* What the table of the publisher's reactor says. */
static uint64_t counted(struct weir_part *part, uint32_t topic)
{
    uint64_t count = 0;
    for (uint32_t key = 0; key < KEYS; key++)
        if (matches(key, topic))
            count += weir_broker_subscriber_count(part, kind_of(key), name_of(key));
    return count;
}

/* Before it is published: a subscriber of this reactor has it when the call returns. */
static void write_down(struct publisher *publisher, bool owed)
{
    struct world *world = publisher->world;
    struct event *event = &world->events[publisher->index][publisher->next];
    event->topic = (uint8_t)publisher->topic;
    for (uint32_t i = 0; i < world->client_count; i++)
        for (uint32_t key = 0; key < KEYS; key++) {
            struct client *client = &world->clients[i];
            bool must = owed && client->served && !client->evicted && client->membership[key] == CONFIRMED &&
                        client->subscriber.conn->state == WEIR_TCP_OPEN && matches(key, publisher->topic);
            event->owed[i][key] = must ? MUST : MAY;
        }
}

static int publish_one(struct publisher *publisher)
{
    struct world *world = publisher->world;
    struct weir_part *part = weir_part(publisher->reactor);
    static uint8_t memory[sizeof(struct body) + BODY_BYTES_MAX];
    struct body body = {publisher->index, publisher->next};
    memset(memory, (int)(body.publisher + body.number), sizeof memory);
    memcpy(memory, &body, sizeof body);
    struct weir_publication publication = {
        .kind = WEIR_NAME_TOPIC, .name = name_of(publisher->topic), .body = {memory, sizeof body + publisher->filler}};
    uint64_t receivers = UINT64_MAX, expected = counted(part, publisher->topic);
    write_down(publisher, true);
    publisher->next++;
    int result = weir_broker_publish(part, &publication, &publisher->waiter, &receivers);
    if (result == 0) {
        SIM_EQUAL(world->sim, receivers, expected);
        return 0;
    }
    publisher->next--;
    write_down(publisher, false);
    return result;
}

static void burst(struct publisher *publisher);

static void resume(struct weir_reactor *reactor, void *context)
{
    struct publisher *publisher = context;
    SIM_CHECK(publisher->world->sim, reactor == publisher->reactor);
    SIM_CHECK(publisher->world->sim, publisher->waiting);
    publisher->waiting = false;
    burst(publisher);
}

static void next_burst(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    (void)reactor, (void)timer;
    struct publisher *publisher = context;
    if (!publisher->waiting)
        burst(publisher);
}

static void draw(struct publisher *publisher)
{
    struct world *world = publisher->world;
    publisher->topic = (uint32_t)chance(world, world->topic_count);
    publisher->filler = (uint32_t)chance(world, chance(world, 3) == 0 ? world->body_bytes_max : 20);
}

static void burst(struct publisher *publisher)
{
    struct world *world = publisher->world;
    if (world->stopping)
        return;
    for (uint64_t count = 1 + chance(world, 1500); count > 0 && publisher->left > 0; count--) {
        if (chance(world, 8) == 0)
            weir_sim_yield(world->sim->world); /* others run between two publishes of a turn: its mail is old by then */
        int result = publish_one(publisher);
        if (result == -EAGAIN) {
            publisher->waiting = true;
            seen.waits++;
            seen.full_rings += !publisher->waiter.paused;
            return;
        }
        if (result == -ENOMEM)
            break;
        SIM_EQUAL(world->sim, result, 0);
        publisher->left--;
        draw(publisher);
    }
    if (publisher->left > 0)
        weir_timer_set(publisher->reactor, &publisher->timer, chance(world, 3 * WEIR_MS_NS), next_burst, publisher);
}

/* ---- The run ---- */

static int begin(struct weir_reactor *reactor, void *context)
{
    static const struct weir_tcp_handlers handlers = {sizeof handlers, served_open, served_data, served_drain, served_close};
    struct world *world = context;
    struct publisher *publisher = &world->publishers[weir_reactor_index(reactor)];
    struct weir_tcp_listener *listener;
    char address[32];
    snprintf(address, sizeof address, "*:%u", 100 + weir_reactor_index(reactor));
    int result = weir_part_open(world->broker, reactor);
    if (result == 0)
        result = weir_tcp_listen(reactor, address, &handlers, NULL, world, &listener);
    publisher->reactor = reactor;
    publisher->index = weir_reactor_index(reactor);
    publisher->waiter.waiter.resume = resume;
    publisher->waiter.waiter.context = publisher;
    draw(publisher);
    weir_timer_set(reactor, &publisher->timer, chance(world, 5 * WEIR_MS_NS), next_burst, publisher);
    return result;
}

static void end(struct weir_reactor *reactor, void *context)
{
    (void)context;
    const struct weir_part_counters *counters = weir_part_counters(weir_part(reactor));
    seen.pauses += counters->pauses;
    seen.dropped += counters->dropped_oldest + counters->dropped_newest;
    weir_part_close(reactor);
}

/* Nothing is on its way any more. Where policies drop, what did not come was dropped. */
static bool all_came(const struct world *world, const struct client *client)
{
    uint64_t missed = client->missed;
    for (uint32_t publisher = 0; publisher < world->reactors; publisher++)
        for (uint32_t at = client->seen_to[publisher]; at < world->publishers[publisher].next; at++) {
            const struct event *event = &world->events[publisher][at];
            for (uint32_t key = 0; key < KEYS; key++) {
                if (event->owed[client->number][key] != MUST)
                    continue;
                if (!loses(event->topic))
                    return false;
                missed++;
            }
        }
    return missed <= client->dropped + client->subscriber.window.dropped_count;
}

/* Every table says of every name what is so. */
static bool tables_are_true(const struct world *world)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        uint64_t count = 0;
        for (uint32_t i = 0; i < world->client_count; i++)
            count += world->clients[i].membership[key] != NONE;
        for (uint32_t i = 0; i < world->reactors; i++) {
            struct weir_part *part = weir_part(weir_runtime_reactor(world->server, i));
            if (weir_broker_subscriber_count(part, kind_of(key), name_of(key)) != count)
                return false;
        }
    }
    return true;
}

static bool all_come(void *context)
{
    struct world *world = context;
    for (uint32_t i = 0; i < world->reactors; i++)
        if (world->publishers[i].left > 0)
            return false;
    if (++world->looks % LOOK_EVERY != 0)
        return false;
    for (uint32_t i = 0; i < world->client_count; i++) {
        const struct client *client = &world->clients[i];
        if (!client->served || client->evicted || client->corked || client->changes_left > 0 ||
            client->subscriber.window.count > 0 || weir_tcp_unsent_bytes(client->subscriber.conn) > 0)
            return false;
        for (uint32_t key = 0; key < KEYS; key++)
            if (client->membership[key] == ASKED)
                return false;
        if (!all_came(world, client))
            return false;
    }
    return tables_are_true(world);
}

static bool some_published(void *context)
{
    const struct world *world = context;
    uint32_t published = 0;
    for (uint32_t i = 0; i < world->reactors; i++)
        published += world->publishers[i].next;
    return published > 400;
}

static void make_policies(struct weir_broker_options *options, struct weir_policy_rule rules[4])
{
    static const enum weir_policy_action actions[4] = {WEIR_POLICY_PAUSE, WEIR_POLICY_CLOSE, WEIR_POLICY_DROP_OLDEST,
                                                       WEIR_POLICY_DROP_NEWEST};
    static const char *const globs[4] = {"p.*", "c.*", "o.*", "n.*"};
    for (int i = 0; i < 4; i++) {
        rules[i] = (struct weir_policy_rule){.glob = globs[i], .policy = weir_policy_default()};
        rules[i].policy.action = actions[i];
        rules[i].policy.hard_bytes = 64 << 10;
        rules[i].policy.soft_bytes = 0;
    }
    options->policies = rules;
    options->policy_count = 4;
    options->default_policy = weir_policy_default();
}

/* Rings of few slots, so that they fill up. Before anything runs. */
static void shorten_rings(struct world *world)
{
    struct weir_runtime *runtime = world->server;
    uint32_t slot_count = 32u << chance(world, 3), scan_max = chance(world, 2) == 0 ? WEIR_MESH_SCAN_MAX : 0;
    weir_mesh_close(runtime->mesh);
    SIM_EQUAL(world->sim, weir_mesh_open_shaped(world->reactors, slot_count, scan_max, &runtime->mesh), 0);
    for (uint32_t i = 0; i < world->reactors; i++)
        weir_runtime_reactor(runtime, i)->mesh = runtime->mesh;
}

static void start(struct world *world, uint32_t events, uint64_t memory_bytes_max)
{
    struct sim *sim = world->sim;
    struct weir_broker_options broker = {0};
    struct weir_policy_rule rules[4];
    sim_open(sim, 2);
    sim->context = world;
    world->reactors = 1 + (uint32_t)chance(world, REACTORS_MAX);
    world->client_count = 1 + (uint32_t)chance(world, CLIENTS_MAX);
    world->body_bytes_max = chance(world, 2) == 0 ? 20 : BODY_BYTES_MAX;
    for (uint32_t i = 0; i < world->client_count; i++) {
        struct client *client = &world->clients[i];
        *client = (struct client){.world = world, .number = i, .stalls = chance(world, 3) == 0};
        client->changes_left = 5 + (uint32_t)chance(world, 40);
        client->leaves_left = (uint32_t)chance(world, 4);
    }
    for (uint32_t i = 0; i < world->reactors; i++)
        world->publishers[i] = (struct publisher){.world = world, .left = events / world->reactors};
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = world->reactors;
    options.recorder_events = 256;
    options.topics_max = 64;
    options.no_spin = true;
    options.memory_bytes_max = memory_bytes_max;
    options.on_start = begin;
    options.on_stop = end;
    options.context = world;
    world->server = sim_runtime(sim, 0, &options);
    if (chance(world, 3) > 0)
        shorten_rings(world);
    make_policies(&broker, rules);
    SIM_EQUAL(sim, weir_broker_open(world->server, &broker, &world->broker), 0);
    options.reactor_count = 1;
    options.memory_bytes_max = 0;
    options.on_start = begin_clients;
    options.on_stop = NULL;
    sim_runtime(sim, 1, &options);
}

static void finish(struct world *world)
{
    world->stopping = true;
    sim_close(world->sim, STEPS);
    SIM_EQUAL(world->sim, world->served_count, 0);
    weir_broker_close(world->broker);
    free(world);
}

static void run(struct sim *sim, uint32_t topic_count, uint32_t events, uint64_t memory_bytes_max)
{
    struct world *world = calloc(1, sizeof *world);
    world->sim = sim;
    world->topic_count = topic_count;
    start(world, events, memory_bytes_max);
    sim_reach(sim, all_come, world, STEPS);
    finish(world);
}

static void subscribers_that_come_and_go_get_what_they_were_promised_on(struct sim *sim)
{
    run(sim, 2, 900, 0);
}

static void each_policy_keeps_to_what_it_says_on(struct sim *sim)
{
    run(sim, TOPICS, 1000, 0);
}

static void little_memory_costs_connections_and_no_event_of_others_on(struct sim *sim)
{
    run(sim, TOPICS, 700, (uint64_t)1 << 20);
}

static void a_stop_in_the_middle_ends_every_connection_on(struct sim *sim)
{
    struct world *world = calloc(1, sizeof *world);
    world->sim = sim;
    world->topic_count = TOPICS;
    start(world, 2000, 0);
    sim_reach(sim, some_published, world, STEPS);
    finish(world);
}

SIM_SCENARIO(subscribers_that_come_and_go_get_what_they_were_promised)
SIM_SCENARIO(each_policy_keeps_to_what_it_says)
SIM_SCENARIO(little_memory_costs_connections_and_no_event_of_others)
SIM_SCENARIO(a_stop_in_the_middle_ends_every_connection)

static void what_the_scenarios_are_for_has_happened(void **state)
{
    (void)state;
    if (getenv("WEIR_SIM_SEED") != NULL || getenv("WEIR_SIM_ONLY") != NULL)
        skip();
    print_message("confirmed %llu, corked %llu, delivered %llu, waits %llu, full rings %llu, pauses %llu, evicted %llu "
                  "(memory %llu), dropped %llu, left %llu\n",
                  (unsigned long long)seen.confirmed, (unsigned long long)seen.corks, (unsigned long long)seen.delivered,
                  (unsigned long long)seen.waits, (unsigned long long)seen.full_rings, (unsigned long long)seen.pauses,
                  (unsigned long long)seen.evicted, (unsigned long long)seen.memory, (unsigned long long)seen.dropped,
                  (unsigned long long)seen.leaves);
    assert_true(seen.confirmed > 0 && seen.corks > 0 && seen.delivered > 0);
    assert_true(seen.waits > 0 && seen.pauses > 0 && seen.full_rings > 0);
    assert_true(seen.evicted > 0 && seen.dropped > 0 && seen.leaves > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscribers_that_come_and_go_get_what_they_were_promised),
        cmocka_unit_test(each_policy_keeps_to_what_it_says),
        cmocka_unit_test(little_memory_costs_connections_and_no_event_of_others),
        cmocka_unit_test(a_stop_in_the_middle_ends_every_connection),
        cmocka_unit_test(what_the_scenarios_are_for_has_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
