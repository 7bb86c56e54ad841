/* bench/rivals/c/echo_libuv.c - TCP echo on libuv: writes at once, and queues only what the socket would not take. Argument: port. */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static char bytes[65536];

struct rest {
    uv_write_t request;
    char bytes[];
};

static void give_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    (void)handle;
    (void)wanted;
    *room = uv_buf_init(bytes, sizeof bytes);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
    if (count < 0) {
        uv_close((uv_handle_t *)stream, on_closed);
        return;
    }
    uv_buf_t out = uv_buf_init(room->base, (unsigned)count);
    int sent = count > 0 ? uv_try_write(stream, &out, 1) : 0;
    sent = sent < 0 ? 0 : sent;
    if (sent == count)
        return;
    size_t left = (size_t)(count - sent);
    struct rest *rest = malloc(sizeof *rest + left);
    memcpy(rest->bytes, room->base + sent, left);
    out = uv_buf_init(rest->bytes, (unsigned)left);
    uv_write(&rest->request, stream, &out, 1, on_written);
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status < 0)
        return;
    uv_tcp_t *conn = malloc(sizeof *conn);
    uv_tcp_init(listener->loop, conn);
    if (uv_accept(listener, (uv_stream_t *)conn) != 0) {
        uv_close((uv_handle_t *)conn, on_closed);
        return;
    }
    uv_tcp_nodelay(conn, 1);
    uv_read_start((uv_stream_t *)conn, give_room, on_read);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address;
    uv_tcp_t listener;
    if (argc < 2)
        return 2;
    uv_ip4_addr("127.0.0.1", atoi(argv[1]), &address);
    uv_tcp_init(uv_default_loop(), &listener);
    if (uv_tcp_bind(&listener, (struct sockaddr *)&address, 0) != 0 ||
        uv_listen((uv_stream_t *)&listener, 4096, on_connection) != 0)
        return 1;
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
