/* runtime/address.h - "127.0.0.1:80", "[::1]:80", "*:80", "localhost:80", "unix:/run/x.sock" to and from sockaddr. */
#ifndef WEIR_RUNTIME_ADDRESS_H
#define WEIR_RUNTIME_ADDRESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct weir_address {
    struct sockaddr_storage storage;
    socklen_t byte_count;
};

/* Numeric addresses and "localhost" only: looking up names would block. -EINVAL. */
int weir_address_parse(const char *text, struct weir_address *address_out);
/* Cut to fit, always ended. */
void weir_address_print(const struct sockaddr *address, socklen_t byte_count, char *text, size_t text_bytes);
uint16_t weir_address_port(const struct sockaddr *address); /* 0: has none */

static inline const struct sockaddr *weir_address_sockaddr(const struct weir_address *address)
{
    return (const struct sockaddr *)&address->storage;
}

#endif
