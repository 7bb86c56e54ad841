/* runtime/work.h - blocking work of users, from inside: the pool's part in a reactor's life and turn. */
#ifndef WEIR_RUNTIME_WORK_H
#define WEIR_RUNTIME_WORK_H

#include <stdint.h>

struct weir_reactor;
struct weir_runtime;

int weir_work_begin(struct weir_reactor *reactor);
uint32_t weir_work_collect(struct weir_reactor *reactor); /* the turn: ends of finished jobs; how many */
void weir_work_close(struct weir_runtime *runtime);       /* all reactors have ended */

#endif
