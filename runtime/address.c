/* runtime/address.c - addresses as people write them. Proof: tests/runtime/address_test.c. */
#include "runtime/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static int parse_unix(const char *path, struct weir_address *out)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->storage;
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof un->sun_path)
        return -EINVAL;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, length + 1);
    out->byte_count = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return 0;
}

static int parse_port(const char *text, uint16_t *port_out)
{
    char *end;
    errno = 0;
    unsigned long port = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || port > UINT16_MAX)
        return -EINVAL;
    *port_out = (uint16_t)port;
    return 0;
}

static int parse_v6(const char *host, uint16_t port, struct weir_address *out)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->storage;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    out->byte_count = sizeof *in6;
    return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
}

static int parse_v4(const char *host, uint16_t port, struct weir_address *out)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&out->storage;
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    out->byte_count = sizeof *in;
    if (strcmp(host, "*") == 0 || *host == '\0')
        host = "0.0.0.0";
    else if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : -EINVAL;
}

int weir_address_parse(const char *text, struct weir_address *out)
{
    memset(out, 0, sizeof *out);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(text + 5, out);
    const char *colon = strrchr(text, ':');
    char host[64];
    uint16_t port;
    if (!colon || (size_t)(colon - text) >= sizeof host || parse_port(colon + 1, &port) < 0)
        return -EINVAL;
    size_t length = (size_t)(colon - text);
    memcpy(host, text, length);
    host[length] = '\0';
    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        return parse_v6(host + 1, port, out);
    }
    return parse_v4(host, port, out);
}

void weir_address_print(const struct sockaddr *address, socklen_t byte_count, char *text, size_t text_bytes)
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        snprintf(text, text_bytes, "%s:%u", host, ntohs(in->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        snprintf(text, text_bytes, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else if (address->sa_family == AF_UNIX) {
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)address;
        bool named = byte_count > offsetof(struct sockaddr_un, sun_path);
        snprintf(text, text_bytes, "unix:%s", named ? un->sun_path : "");
    } else {
        snprintf(text, text_bytes, "?:0");
    }
}

uint16_t weir_address_port(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)address)->sin_port);
    if (address->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)address)->sin6_port);
    return 0;
}
