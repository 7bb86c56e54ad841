/*
 * broker/ask.c - questions go as calls over the mesh; without credit they wait in order, one list for each destination.
 *
 * Order: a question sent after another to the same reactor arrives after it, since whoever finds somebody waiting waits
 * behind. The same for answers; both use the request ring, and since a reactor takes its mail whatever its own lists hold, two
 * that wait for each other's credit both get on.
 *
 * Proof: tests/broker/ask_test.c.
 */
#include "broker/ask.h"

#include <errno.h>

#include "broker/part.h"

static void on_arrived(struct weir_reactor *reactor, void *context)
{
    struct weir_ask *ask = context;
    struct weir_part *part = weir_part(reactor);
    if (!part) /* a start that failed: nobody is left to answer */
        return;
    if (ask->back)
        ask->answered(part, ask);
    else
        ask->asked(part, ask);
}

static void on_credit(struct weir_reactor *reactor, void *context)
{
    struct weir_ask_queue *queue = context;
    struct weir_list *node;
    while ((node = queue->asks.next) != &queue->asks) {
        struct weir_ask *ask = WEIR_CONTAINER(node, struct weir_ask, node);
        if (weir_mail_call(reactor, queue->to, on_arrived, ask) == -EAGAIN) {
            weir_mail_wait(reactor, queue->to, &queue->waiter);
            return;
        }
        weir_list_remove(node);
    }
}

static void go(struct weir_part *part, uint32_t to, struct weir_ask *ask)
{
    struct weir_ask_queue *queue = &part->asks[to];
    if (weir_list_empty(&queue->asks)) {
        if (weir_mail_call(part->reactor, to, on_arrived, ask) == 0)
            return;
        weir_mail_wait(part->reactor, to, &queue->waiter);
    }
    weir_list_push_back(&queue->asks, &ask->node);
}

void weir_ask_send(struct weir_part *asker, uint32_t to, struct weir_ask *ask)
{
    ask->from = asker->reactor->index;
    ask->to = to;
    ask->back = false;
    weir_list_init(&ask->node);
    go(asker, to, ask);
}

void weir_ask_answer(struct weir_part *owner, struct weir_ask *ask)
{
    ask->back = true;
    go(owner, ask->from, ask);
}

void weir_asks_init(struct weir_part *part)
{
    for (uint32_t i = 0; i < part->reactor->count; i++) {
        struct weir_ask_queue *queue = &part->asks[i];
        weir_list_init(&queue->asks);
        queue->to = i;
        queue->waiter = (struct weir_waiter){.resume = on_credit, .context = queue};
    }
}

void weir_asks_deinit(struct weir_part *part)
{
    for (uint32_t i = 0; i < part->reactor->count; i++)
        weir_mail_wait_cancel(part->reactor, &part->asks[i].waiter);
}
