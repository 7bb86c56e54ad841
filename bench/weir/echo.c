/* bench/weir/echo.c - TCP echo on one reactor of weir. Argument: port. */
#include <stdio.h>
#include <stdlib.h>

#include <weir/weir.h>

static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes,
                    size_t byte_count)
{
    (void)reactor;
    if (weir_tcp_write(conn, bytes, byte_count) != 0)
        weir_tcp_abort(conn);
}

static int on_start(struct weir_reactor *reactor, void *context)
{
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    struct weir_tcp_listener *listener;
    char address[32];
    handlers.on_data = on_data;
    snprintf(address, sizeof address, "127.0.0.1:%s", (const char *)context);
    return weir_tcp_listen(reactor, address, &handlers, NULL, NULL, &listener);
}

int main(int argc, char **argv)
{
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    struct weir_runtime *runtime;
    if (argc < 2)
        return 2;
    options.reactor_count = 1;
    options.on_start = on_start;
    options.context = argv[1];
    if (weir_runtime_open(&options, &runtime) != 0 || weir_runtime_start(runtime) != 0) {
        fprintf(stderr, "echo: cannot start\n");
        return 1;
    }
    return weir_runtime_wait(runtime) == 0 ? 0 : 1;
}
