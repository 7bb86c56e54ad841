/*
 * echo.c - a TCP echo server on every core. Try: echo --port 7000 --cores 2, then nc 127.0.0.1 7000
 *
 * Each reactor listens on the same port; the kernel spreads the connections, and each stays on its reactor.
 */
#include "example.h"

static struct example_options options = {.port = 7000};

static void on_data(struct weir_reactor *reactor, struct weir_tcp *conn, const void *bytes, size_t byte_count)
{
    (void)reactor;
    if (weir_tcp_write(conn, bytes, byte_count) < 0)
        weir_tcp_abort(conn); /* it sends and never reads */
}

static int on_start(struct weir_reactor *reactor, void *context)
{
    (void)context;
    struct weir_tcp_handlers handlers = WEIR_OPTIONS(struct weir_tcp_handlers);
    handlers.on_data = on_data;
    char address[32];
    struct weir_tcp_listener *listener;
    snprintf(address, sizeof address, "127.0.0.1:%u", options.port);
    int result = weir_tcp_listen(reactor, address, &handlers, NULL, NULL, &listener);
    if (result == 0)
        options.port = weir_tcp_listener_port(listener); /* reactor 0 found one; the others start after it */
    return result;
}

int main(int argc, char **argv)
{
    example_parse(argc, argv, &options);
    struct weir_runtime_options runtime = WEIR_OPTIONS(struct weir_runtime_options);
    runtime.on_start = on_start;
    return example_run(&runtime, &options, &options.port);
}
