/*
 * broker/gather.c - one call to each reactor, one call back from each; the asker waits for credit when it must.
 *
 * The texts and the count belong to whoever was called last: each reactor writes its own text, and its answer hands it over.
 * Proof: tests/clients/python_test.py, the counters of all reactors.
 */
#include "broker/gather.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gather;

struct asked { /* one reactor's share */
    struct gather *gather;
    struct weir_text *text;
    uint32_t reactor;
    struct weir_waiter waiter; /* for credit, first the asker's, then the answerer's */
};

struct gather {
    struct weir_reactor *asker;
    weir_gather_fn fn;
    weir_gathered_fn done;
    void *context;
    uint32_t left; /* the asker's */
    struct weir_text *texts;
    struct asked asked[];
};

static bool room_for(struct weir_text *text, size_t more)
{
    size_t room = text->room ? text->room : 1024;
    while (room < text->byte_count + more + 1)
        room *= 2;
    if (room == text->room)
        return true;
    char *grown = realloc(text->bytes, room);
    if (!grown) {
        text->failed = true;
        return false;
    }
    text->bytes = grown;
    text->room = room;
    return true;
}

void weir_text_add_bytes(struct weir_text *text, const void *bytes, size_t byte_count)
{
    if (text->failed || !room_for(text, byte_count))
        return;
    memcpy(text->bytes + text->byte_count, bytes, byte_count);
    text->byte_count += byte_count;
}

void weir_text_add(struct weir_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int bytes = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (bytes > 0 && !text->failed && room_for(text, (size_t)bytes)) {
        vsnprintf(text->bytes + text->byte_count, (size_t)bytes + 1, format, again);
        text->byte_count += (size_t)bytes;
    }
    va_end(again);
}

void weir_text_free(struct weir_text *text)
{
    free(text->bytes);
    *text = (struct weir_text){0};
}

static void finish(struct gather *gather)
{
    gather->done(gather->asker, gather->texts, gather->asker->count, gather->context);
    for (uint32_t i = 0; i < gather->asker->count; i++)
        weir_text_free(&gather->texts[i]);
    free(gather->texts);
    free(gather);
}

/* On the asker. */
static void on_answer(struct weir_reactor *reactor, void *context)
{
    (void)reactor;
    struct asked *asked = context;
    if (--asked->gather->left == 0)
        finish(asked->gather);
}

static void answer(struct weir_reactor *reactor, void *context)
{
    struct asked *asked = context;
    uint32_t asker = asked->gather->asker->index;
    if (weir_mail_call(reactor, asker, on_answer, asked) == 0)
        return;
    asked->waiter = (struct weir_waiter){.resume = answer, .context = asked};
    weir_mail_wait(reactor, asker, &asked->waiter);
}

/* On the one that was asked. */
static void on_asked(struct weir_reactor *reactor, void *context)
{
    struct asked *asked = context;
    asked->gather->fn(reactor, asked->text, asked->gather->context);
    answer(reactor, asked);
}

static void ask(struct weir_reactor *reactor, void *context)
{
    struct asked *asked = context;
    if (weir_mail_call(reactor, asked->reactor, on_asked, asked) == 0)
        return;
    asked->waiter = (struct weir_waiter){.resume = ask, .context = asked};
    weir_mail_wait(reactor, asked->reactor, &asked->waiter);
}

int weir_gather(struct weir_reactor *reactor, weir_gather_fn fn, weir_gathered_fn done, void *context)
{
    uint32_t count = reactor->count;
    struct gather *gather = calloc(1, sizeof *gather + count * sizeof(struct asked));
    struct weir_text *texts = calloc(count, sizeof *texts);
    if (!gather || !texts) {
        free(gather);
        free(texts);
        return -ENOMEM;
    }
    *gather = (struct gather){.asker = reactor, .fn = fn, .done = done, .context = context, .left = count, .texts = texts};
    for (uint32_t i = 0; i < count; i++)
        gather->asked[i] = (struct asked){.gather = gather, .text = &texts[i], .reactor = i};
    for (uint32_t i = 0; i < count; i++) /* our own share last: it may be the one that ends it */
        if (i != reactor->index)
            ask(reactor, &gather->asked[i]);
    ask(reactor, &gather->asked[reactor->index]);
    return 0;
}
