/*
 * broker/ask.h - a question to another reactor, and its answer.
 *
 * The asker's struct travels: it is the owner's while the question is away, and the asker's again when `answered` runs. So
 * nothing is copied, nothing is shared, and no question can be lost: where there is no credit it waits in a list of the
 * asker's, in order, and goes when credit is back. Answers travel on the reply lane.
 *
 *     asker's reactor                         owner's reactor
 *     weir_ask_send ---- REQUEST lane ------> asked(ask)
 *     answered(ask) <---- REPLY lane -------- weir_ask_answer   (within asked, or any time later)
 *
 * To the own reactor it is a call: `asked` runs within weir_ask_send; `answered` within weir_ask_answer.
 * A cancelled question still comes back; who has lost interest says so in its own struct.
 *
 * Proof: tests/broker/ask_test.c.
 */
#ifndef WEIR_BROKER_ASK_H
#define WEIR_BROKER_ASK_H

#include "broker/broker.h"

struct weir_ask {
    void (*asked)(struct weir_part *owner, struct weir_ask *ask);
    void (*answered)(struct weir_part *asker, struct weir_ask *ask);
    /* The broker's. */
    struct weir_list node;
    uint32_t from;
    uint32_t to;
    bool back;
};

void weir_ask_send(struct weir_part *asker, uint32_t to, struct weir_ask *ask);
void weir_ask_answer(struct weir_part *owner, struct weir_ask *ask);

#endif
