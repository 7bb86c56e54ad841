/* runtime/host.h - a reactor in its host's own poll loop: what weir_reactor_fd adds to a reactor that the caller turns. */
#ifndef WEIR_RUNTIME_HOST_H
#define WEIR_RUNTIME_HOST_H

struct weir_reactor;

int weir_host_open(struct weir_reactor *reactor); /* the fd was asked for; again is nothing. -ENOMEM, -EMFILE */
void weir_host_set_timer(struct weir_reactor *reactor); /* the host is about to poll: until the next timer at most */
void weir_host_free(struct weir_reactor *reactor); /* after the io is gone */

#endif
