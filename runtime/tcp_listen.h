/* runtime/tcp_listen.h - listeners of one reactor, and what connections are made with. */
#ifndef WEIR_RUNTIME_TCP_LISTEN_H
#define WEIR_RUNTIME_TCP_LISTEN_H

#include "runtime/tcp.h"

struct weir_tcp_shape *weir_tcp_shape_make(const struct weir_tcp_handlers *handlers,
                                           const struct weir_tcp_options *options, void *context);
void weir_tcp_shape_drop(struct weir_tcp_shape *shape);

/* runtime/tcp.c: a connection on `fd`, not begun; NULL: no memory. Then begin: on_open, and reading starts. */
struct weir_tcp *weir_tcp_make(struct weir_reactor *reactor, int fd, struct weir_tcp_shape *shape);
void weir_tcp_begin(struct weir_tcp *conn, int family);

void weir_tcp_listeners_close(struct weir_reactor *reactor);
void weir_tcp_listeners_free(struct weir_reactor *reactor); /* after the io is gone */

#endif
