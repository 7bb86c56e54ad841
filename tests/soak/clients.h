/*
 * tests/soak/clients.h - raw sockets that speak just enough Redis: ordinary publishers and subscribers, and two that misbehave.
 *
 * The ordinary ones come from 127.0.0.1. The flood comes from 127.0.0.2 and has a bucket of its own; the stalled subscriber
 * subscribes to what everybody does, and to a topic that fills its window, and reads nothing.
 */
#ifndef WEIR_TESTS_SOAK_CLIENTS_H
#define WEIR_TESTS_SOAK_CLIENTS_H

#include "tests/soak/soak.h"

enum {
    PUBLISHERS = 2,
    SUBSCRIBERS = 4,
    PUBLISH_INTERVAL_NS = 2000000, /* of each publisher; together half of what an address may */
    RATE_OF_ADDRESS = 2000,        /* publishes a second; the same numbers stand in the settings that storm.c writes */
    BURST_OF_ADDRESS = 500,
    FLOOD_TIMES = 10,              /* that much more than it may */
    SAMPLES_MAX = 1 << 20,
};

struct crowd;

struct phase_result {
    double subscriber_p99_us;
    double publisher_p99_us;
    uint64_t delivered;
    uint64_t wrong;         /* lost, twice or out of order */
    uint64_t flood_sent;    /* publishes handed to the kernel */
    uint64_t flood_replies; /* publishes let through */
    double flood_s;
    bool complete;          /* everything published arrived */
};

struct crowd *crowd_open(uint16_t port); /* NULL: the broker does not answer */
void crowd_close(struct crowd *crowd);
/* Publish at the fixed rate for `phase_ns`; with `storm` beside the flood and the stalled subscriber. */
struct phase_result crowd_phase(struct crowd *crowd, uint64_t phase_ns, bool storm);
/* A figure of INFO weir; UINT64_MAX: not there. */
uint64_t crowd_figure(uint16_t port, const char *name);

#endif
