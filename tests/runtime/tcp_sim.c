/*
 * tests/runtime/tcp_sim.c - connections through whole runtimes, with short reads and sends, resets, slow and dead peers.
 *
 * Host 0 serves, hosts 1 and 2 are its clients. What the bytes of a connection are is a function of its number, so
 * each end knows what must come next.
 */
#include "tests/sim/sim.h"

#include <weir/tcp.h>
#include <weir/timer.h>

enum { CLIENTS_MAX = 12, STEPS = 3000000, SERVED_MAX = 1 << 20 };

static uint8_t byte_of(uint32_t client, uint64_t at)
{
    uint64_t mixed = (at + 1) * 0x9e3779b97f4a7c15u + client * 0xbf58476d1ce4e5b9u;
    return (uint8_t)(mixed >> 29);
}

static void fill(uint8_t *bytes, uint32_t client, uint64_t from, size_t byte_count)
{
    for (size_t i = 0; i < byte_count; i++)
        bytes[i] = byte_of(client, from + i);
}

struct net;

struct client {
    struct net *net;
    uint32_t number;
    uint64_t total; /* bytes to be sent and to come back */
    uint64_t written;
    uint64_t received;
    struct weir_tcp *conn;
    struct weir_timer timer;
    bool slow; /* stops reading now and then */
    bool paused;
    bool never_reads;
    uint32_t opens;
    uint32_t closes;
    uint32_t tries;
    int error;
    bool done;
};

struct net {
    struct sim *sim;
    struct weir_runtime *server;
    struct weir_runtime *client_runtimes[2];
    struct client clients[CLIENTS_MAX];
    uint32_t client_count;
    uint32_t done_count;
    uint32_t served_opens;
    uint32_t served_closes;
    uint32_t gave_up;
    uint64_t push_bytes; /* the server writes so much at once; 0: it echoes */
    bool patient;        /* a stop waits for slow peers as long as it takes */
};

/* ---- The server ---- */

struct served { /* what could not be written yet */
    uint8_t bytes[SERVED_MAX];
    size_t byte_count;
};

static void echo_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    struct net *net = context;
    (void)reactor;
    net->served_opens++;
    weir_tcp_set_context(conn, calloc(1, sizeof(struct served)));
}

static void echo_drain(struct weir_reactor *reactor, struct weir_tcp *conn)
{
    struct served *served = weir_tcp_context(conn);
    (void)reactor;
    if (served->byte_count == 0)
        return;
    size_t some = served->byte_count < 4096 ? served->byte_count : 4096;
    SIM_EQUAL(sim_current, weir_tcp_write(conn, served->bytes, some), 0); /* nothing is unsent now */
    memmove(served->bytes, served->bytes + some, served->byte_count - some);
    served->byte_count -= some;
    if (served->byte_count == 0)
        weir_tcp_resume(conn);
}

static void echo_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes,
                      size_t byte_count)
{
    struct served *served = weir_tcp_context(conn);
    SIM_EQUAL(sim_current, served->byte_count, 0); /* else it is paused */
    if (weir_tcp_write(conn, bytes, byte_count) == 0)
        return;
    SIM_CHECK(sim_current, byte_count <= sizeof(served->bytes));
    memcpy(served->bytes, bytes, byte_count);
    served->byte_count = byte_count;
    weir_tcp_pause(conn);
    if (weir_tcp_unsent_bytes(conn) == 0)
        echo_drain(reactor, conn); /* longer than the limit: no drain would come */
}

static void echo_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    (void)reactor, (void)error;
    free(weir_tcp_context(conn));
}

static int serve(struct weir_reactor *reactor, void *context)
{
    static const struct weir_tcp_handlers handlers = {sizeof(handlers), echo_open, echo_data,
                                                      echo_drain, echo_close};
    struct weir_tcp_options options = WEIR_OPTIONS(struct weir_tcp_options);
    struct weir_tcp_listener *listener;
    options.unsent_bytes_max = 8192;
    return weir_tcp_listen(reactor, "*:80", &handlers, &options, context, &listener);
}

/* ---- Clients ---- */

static void client_done(struct client *client)
{
    SIM_CHECK(client->net->sim, !client->done);
    client->done = true;
    client->net->done_count++;
}

static void write_some(struct client *client)
{
    uint8_t bytes[4096];
    while (client->written < client->total) {
        uint64_t left = client->total - client->written;
        size_t some = 1 + weir_sim_below(client->net->sim->world,
                                         left < sizeof(bytes) ? left : sizeof(bytes));
        fill(bytes, client->number, client->written, some);
        int result = weir_tcp_write(client->conn, bytes, some);
        if (result == -ENOBUFS)
            return;
        SIM_EQUAL(client->net->sim, result, 0);
        client->written += some;
    }
}

static void on_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    struct client *client = context;
    (void)reactor;
    SIM_EQUAL(client->net->sim, client->opens++, 0);
    client->conn = conn;
    if (client->never_reads)
        weir_tcp_pause(conn);
    write_some(client);
}

static void read_again(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    struct client *client = context;
    (void)reactor, (void)timer;
    client->paused = false;
    if (client->conn != NULL)
        weir_tcp_resume(client->conn);
}

static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes,
                    size_t byte_count)
{
    struct client *client = weir_tcp_context(conn);
    struct sim *sim = client->net->sim;
    SIM_CHECK(sim, !client->never_reads);
    SIM_CHECK(sim, !client->paused);
    SIM_CHECK(sim, client->received + byte_count <= client->total);
    for (size_t i = 0; i < byte_count; i++)
        SIM_EQUAL(sim, ((const uint8_t *)bytes)[i], byte_of(client->number, client->received + i));
    client->received += byte_count;
    if (client->received == client->total && client->net->push_bytes == 0)
        weir_tcp_close(conn);
    else if (client->slow && weir_sim_chance(sim->world, 200000)) {
        client->paused = true;
        weir_tcp_pause(conn);
        weir_timer_set(reactor, &client->timer, weir_sim_below(sim->world, 20 * WEIR_MS_NS),
                       read_again, client);
    }
}

static void on_drain(struct weir_reactor *reactor, struct weir_tcp *conn)
{
    struct client *client = weir_tcp_context(conn);
    (void)reactor;
    if (client->net->push_bytes == 0)
        write_some(client);
}

static void go(struct weir_reactor *reactor, struct weir_timer *timer, void *context);

static void on_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    struct client *client = weir_tcp_context(conn);
    if (client->opens == 0 && (error == -ECONNREFUSED || error == -ETIMEDOUT) &&
        client->tries++ < 100) {
        weir_timer_set(reactor, &client->timer, WEIR_MS_NS, go, client);
        return;
    }
    SIM_EQUAL(client->net->sim, client->closes++, 0);
    weir_timer_cancel(reactor, &client->timer);
    client->conn = NULL;
    client->error = error;
    client_done(client);
}

static void go(struct weir_reactor *reactor, struct weir_timer *timer, void *context)
{
    static const struct weir_tcp_handlers handlers = {sizeof(handlers), on_open, on_data, on_drain,
                                                      on_close};
    struct client *client = context;
    struct weir_tcp_options options = WEIR_OPTIONS(struct weir_tcp_options);
    struct weir_tcp *conn;
    (void)timer;
    options.unsent_bytes_max = 16384;
    SIM_EQUAL(client->net->sim,
              weir_tcp_connect(reactor, "10.0.0.1:80", &handlers, &options, client, &conn), 0);
}

static int begin_clients(struct weir_reactor *reactor, void *context)
{
    struct net *net = context;
    for (uint32_t i = 0; i < net->client_count; i++) {
        struct client *client = &net->clients[i];
        if (net->client_runtimes[i % 2] != weir_reactor_runtime(reactor))
            continue;
        weir_timer_set(reactor, &client->timer, weir_sim_below(net->sim->world, WEIR_MS_NS), go,
                       client);
    }
    return 0;
}

/* ---- Worlds ---- */

static struct weir_runtime_options small_options(struct net *net, uint32_t reactors,
                                                 weir_start_fn on_start)
{
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = reactors;
    options.recorder_events = 256;
    options.topics_max = 64;
    options.spin_ns_max = net->sim->seed % 3 == 0 ? 20 * WEIR_US_NS : 0;
    options.no_spin = net->sim->seed % 3 != 0;
    options.drain_timeout_ns = net->patient ? 3600 * WEIR_S_NS : 2 * WEIR_S_NS;
    options.on_start = on_start;
    options.context = net;
    return options;
}

static void open_clients(struct net *net, uint64_t total_max)
{
    struct sim *sim = net->sim;
    net->client_count = 1 + (uint32_t)weir_sim_below(sim->world, CLIENTS_MAX);
    for (uint32_t i = 0; i < net->client_count; i++) {
        struct client *client = &net->clients[i];
        client->net = net;
        client->number = i;
        client->total = 1 + weir_sim_below(sim->world, total_max);
        client->slow = weir_sim_chance(sim->world, 300000);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct weir_runtime_options options = small_options(net, 1, begin_clients);
        net->client_runtimes[i] = sim_runtime(sim, 1 + i, &options);
    }
}

static struct net *open_net(struct sim *sim, weir_start_fn on_serve, bool patient)
{
    struct net *net = calloc(1, sizeof(*net));
    sim->context = net;
    net->sim = sim;
    net->patient = patient;
    sim_open(sim, 3);
    struct weir_runtime_options options = small_options(
        net, 1 + (uint32_t)weir_sim_below(sim->world, 3), on_serve);
    net->server = sim_runtime(sim, 0, &options);
    return net;
}

static void close_net(struct net *net)
{
    sim_close(net->sim, STEPS);
    for (uint32_t i = 0; i < net->client_count; i++)
        SIM_CHECK(net->sim, net->clients[i].opens == 0 || net->clients[i].closes == 1);
    free(net);
}

static bool all_done(void *context)
{
    struct net *net = context;
    return net->done_count == net->client_count;
}

/* ---- Scenarios ---- */

static void an_echo_loses_nothing_and_keeps_its_order_on(struct sim *sim)
{
    struct net *net = open_net(sim, serve, false);
    open_clients(net, 40000);
    sim_reach(sim, all_done, net, STEPS);
    for (uint32_t i = 0; i < net->client_count; i++) {
        SIM_EQUAL(sim, net->clients[i].error, 0);
        SIM_EQUAL(sim, net->clients[i].received, net->clients[i].total);
    }
    close_net(net);
}

static void until_a_reset_what_comes_is_what_was_sent_on(struct sim *sim)
{
    sim->faults.reset = 20000;
    sim->faults.half_open = 100000;
    sim->faults.connect_refused = 100000;
    struct net *net = open_net(sim, serve, false);
    open_clients(net, 40000);
    sim_reach(sim, all_done, net, STEPS); /* each byte is checked as it comes */
    for (uint32_t i = 0; i < net->client_count; i++)
        SIM_CHECK(sim,
                  net->clients[i].error != 0 || net->clients[i].received == net->clients[i].total);
    close_net(net);
}

static bool readers_done(void *context)
{
    struct net *net = context;
    for (uint32_t i = 0; i < net->client_count; i++)
        if (!net->clients[i].never_reads && !net->clients[i].done)
            return false;
    return true;
}

static void peers_that_never_read_hold_up_nobody_else_on(struct sim *sim)
{
    struct net *net = open_net(sim, serve, false);
    open_clients(net, 40000);
    for (uint32_t i = 0; i < net->client_count; i += 2) {
        net->clients[i].never_reads = true;
        net->clients[i].total = 10 << 20; /* more than all buffers on the way */
    }
    sim_reach(sim, readers_done, net, STEPS);
    for (uint32_t i = 1; i < net->client_count; i += 2)
        SIM_EQUAL(sim, net->clients[i].received, net->clients[i].total);
    close_net(net); /* the stop gives up on them at its deadline */
}

/* ---- A stop ---- */

static void push_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    struct net *net = context;
    uint8_t *bytes = malloc(net->push_bytes);
    (void)reactor;
    fill(bytes, 0, 0, net->push_bytes);
    SIM_EQUAL(net->sim, weir_tcp_write(conn, bytes, net->push_bytes), 0);
    free(bytes);
    net->served_opens++;
}

static void push_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    struct net *net = weir_tcp_context(conn);
    (void)reactor;
    SIM_EQUAL(net->sim, error, 0);
    net->served_closes++;
}

static int serve_push(struct weir_reactor *reactor, void *context)
{
    static const struct weir_tcp_handlers handlers = {sizeof(handlers), push_open, NULL, NULL,
                                                      push_close};
    struct weir_tcp_listener *listener;
    return weir_tcp_listen(reactor, "*:80", &handlers, NULL, context, &listener);
}

/* A close that its peer holds up: written, closed at once, and never read. */
static void leave_open(struct weir_reactor *reactor, struct weir_tcp *conn, void *context)
{
    push_open(reactor, conn, context);
    weir_tcp_close(conn);
}

static void leave_close(struct weir_reactor *reactor, struct weir_tcp *conn, int error)
{
    struct net *net = weir_tcp_context(conn);
    (void)reactor;
    net->gave_up += error == -ETIMEDOUT;
    net->served_closes++;
}

static int serve_and_leave(struct weir_reactor *reactor, void *context)
{
    static const struct weir_tcp_handlers handlers = {sizeof(handlers), leave_open, NULL, NULL,
                                                      leave_close};
    struct weir_tcp_listener *listener;
    return weir_tcp_listen(reactor, "*:80", &handlers, NULL, context, &listener);
}

static bool all_left(void *context)
{
    struct net *net = context;
    return net->served_opens == net->client_count && net->served_closes == net->client_count;
}

static void a_close_does_not_wait_for_ever_for_who_never_reads_on(struct sim *sim)
{
    sim->faults.socket_bytes_min = 1024;
    sim->faults.socket_bytes_max = 8192;
    struct net *net = open_net(sim, serve_and_leave, true);
    open_clients(net, 1);
    net->push_bytes = 40000; /* more than all buffers on the way */
    for (uint32_t i = 0; i < net->client_count; i++) {
        net->clients[i].never_reads = i > 0;
        net->clients[i].number = 0;
        net->clients[i].total = net->push_bytes;
        net->clients[i].written = net->push_bytes;
    }
    sim_reach(sim, all_left, net, STEPS);
    SIM_EQUAL(sim, net->gave_up, net->client_count - 1);
    close_net(net);
}

static bool some_served(void *context)
{
    struct net *net = context;
    return net->served_opens > net->client_count / 2;
}

static bool server_closed(void *context)
{
    struct net *net = context;
    for (uint32_t i = 0; i < weir_runtime_reactor_count(net->server); i++)
        if (weir_runtime_reactor(net->server, i)->state != WEIR_REACTOR_ENDED)
            return false;
    return true;
}

/* Drained: every accepted connection got all that was written to it before the stop, and its end. */
static void a_stop_flushes_what_was_written_on(struct sim *sim)
{
    struct net *net = open_net(sim, serve_push, true);
    open_clients(net, 1);
    net->push_bytes = 1 + weir_sim_below(sim->world, 100000);
    for (uint32_t i = 0; i < net->client_count; i++) {
        net->clients[i].number = 0; /* the same bytes for all */
        net->clients[i].total = net->push_bytes;
        net->clients[i].written = net->push_bytes; /* says nothing itself */
    }
    sim_reach(sim, some_served, net, STEPS);
    weir_runtime_stop(net->server);
    sim_reach(sim, server_closed, net, STEPS);
    SIM_EQUAL(sim, net->served_closes, net->served_opens);
    sim_reach(sim, all_done, net, STEPS); /* those that came too late are refused or reset */
    uint32_t whole = 0;
    for (uint32_t i = 0; i < net->client_count; i++)
        whole += net->clients[i].error == 0 && net->clients[i].received == net->push_bytes;
    SIM_EQUAL(sim, whole, net->served_opens);
    close_net(net);
}

static void stop_now(void *context)
{
    weir_runtime_stop(((struct net *)context)->server);
}

/* Whatever is going on, a stop ends; the clients see ends or resets, never wrong bytes. */
static void a_stop_at_any_time_ends_on(struct sim *sim)
{
    sim->faults.reset = sim->seed % 2 == 0 ? 5000 : 0;
    struct net *net = open_net(sim, serve, false);
    open_clients(net, 100000);
    for (uint32_t i = 0; i < net->client_count; i++)
        net->clients[i].never_reads = weir_sim_chance(sim->world, 200000);
    weir_sim_after(sim->world, weir_sim_below(sim->world, 30 * WEIR_MS_NS), stop_now, net);
    sim_reach(sim, server_closed, net, STEPS);
    close_net(net);
}

static uint64_t hash_of(struct sim *sim)
{
    struct net *net = open_net(sim, serve, false);
    open_clients(net, 20000);
    sim_reach(sim, all_done, net, STEPS);
    uint64_t hash = weir_sim_hash(sim->world) ^ weir_sim_steps(sim->world);
    close_net(net);
    sim->reactor_count = 0;
    return hash;
}

static void the_same_seed_is_the_same_run_on(struct sim *sim)
{
    uint64_t first = hash_of(sim);
    SIM_EQUAL(sim, hash_of(sim), first);
}

SIM_SCENARIO(an_echo_loses_nothing_and_keeps_its_order)
SIM_SCENARIO(until_a_reset_what_comes_is_what_was_sent)
SIM_SCENARIO(peers_that_never_read_hold_up_nobody_else)
SIM_SCENARIO(a_close_does_not_wait_for_ever_for_who_never_reads)
SIM_SCENARIO(a_stop_flushes_what_was_written)
SIM_SCENARIO(a_stop_at_any_time_ends)
SIM_SCENARIO(the_same_seed_is_the_same_run)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo_loses_nothing_and_keeps_its_order),
        cmocka_unit_test(until_a_reset_what_comes_is_what_was_sent),
        cmocka_unit_test(peers_that_never_read_hold_up_nobody_else),
        cmocka_unit_test(a_close_does_not_wait_for_ever_for_who_never_reads),
        cmocka_unit_test(a_stop_flushes_what_was_written),
        cmocka_unit_test(a_stop_at_any_time_ends),
        cmocka_unit_test(the_same_seed_is_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
