/* hello.c - the smallest weir program: a handler, and an event for it. Build: cc hello.c $(pkg-config --cflags --libs weir) */
#include <stdio.h>
#include <weir/weir.h>

static void greet(struct weir_reactor *on, const struct weir_event *event, void *context)
{
    (void)on;
    (void)context;
    printf("hello, %.*s\n", (int)event->body_bytes, (const char *)event->body);
}

int main(void)
{
    struct weir_runtime *runtime;
    if (weir_runtime_open(NULL, &runtime) < 0)
        return 1;
    struct weir_reactor *reactor = weir_runtime_reactor(runtime, 0);
    weir_on(reactor, "greet.*", greet, NULL);
    weir_emit_name(reactor, "greet.someone", "world", 5);
    weir_runtime_close(runtime);
    return 0;
}
