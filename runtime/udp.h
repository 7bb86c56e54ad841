/* runtime/udp.h - datagram sockets from inside: stop and free. */
#ifndef WEIR_RUNTIME_UDP_H
#define WEIR_RUNTIME_UDP_H

#include <weir/udp.h>

void weir_udp_drain(struct weir_reactor *reactor);    /* a stop: all close */
void weir_udp_free_all(struct weir_reactor *reactor); /* after the io is gone */

#endif
