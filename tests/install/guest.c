/*
 * tests/install/guest.c - the smallest host: what is installed is enough to compile, link and run it.
 *
 * It runs one reactor on its own thread, posts itself an event, and ends. Nothing but <weir/weir.h> is included.
 */
#include <stdio.h>
#include <string.h>
#include <weir/weir.h>

static void on_greeting(struct weir_reactor *reactor, const struct weir_event *event, void *context)
{
    (void)reactor;
    *(int *)context = event->body_bytes == 5 && memcmp(event->body, "hello", 5) == 0;
}

static int greet(struct weir_reactor *reactor, int *heard)
{
    int result = weir_on(reactor, "greeting", on_greeting, heard);
    if (result < 0)
        return result;
    result = weir_emit_name(reactor, "greeting", "hello", 5);
    if (result < 0)
        return result;
    for (int turn = 0; turn < 1000 && !*heard; turn++) {
        result = weir_reactor_run_once(reactor, 1000000);
        if (result < 0)
            return result;
    }
    return *heard ? 0 : -1;
}

int main(void)
{
    char version[32];
    snprintf(version, sizeof(version), "%d.%d.%d", WEIR_VERSION_MAJOR, WEIR_VERSION_MINOR, WEIR_VERSION_PATCH);
    if (strcmp(version, weir_version()) != 0) {
        fprintf(stderr, "headers of %s, library of %s\n", version, weir_version());
        return 1;
    }

    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    options.reactor_count = 1;
    struct weir_runtime *runtime;
    int heard = 0;
    int result = weir_runtime_open(&options, &runtime);
    if (result == 0) {
        result = weir_reactor_run_once(weir_runtime_reactor(runtime, 0), 0);
        if (result >= 0)
            result = greet(weir_runtime_reactor(runtime, 0), &heard);
        weir_runtime_close(runtime);
    }
    if (result < 0)
        fprintf(stderr, "weir: %s\n", strerror(-result));
    return result < 0;
}
