/*
 * tests/runtime/short_io.h - an io that has no memory for some operations, for a while.
 */
#ifndef WEIR_TESTS_SHORT_IO_H
#define WEIR_TESTS_SHORT_IO_H

#include <errno.h>

#include "runtime/io.h"
#include "runtime/reactor.h"

static struct {
    const struct weir_io_table *real;
    struct weir_io_table table;
    enum weir_io_kind kind;
    uint32_t refusals; /* still to come */
} short_io;

static inline int short_io_start(struct weir_io *io, struct weir_io_op *op)
{
    if (op->kind != short_io.kind || short_io.refusals == 0)
        return short_io.real->start(io, op);
    short_io.refusals--;
    return -ENOMEM;
}

/* The next `refusals` operations of that kind cannot be armed. */
static inline void short_io_open(struct weir_reactor *reactor, enum weir_io_kind kind, uint32_t refusals)
{
    short_io.real = reactor->io->table;
    short_io.table = *reactor->io->table;
    short_io.table.start = short_io_start;
    short_io.kind = kind;
    short_io.refusals = refusals;
    reactor->io->table = &short_io.table;
}

#endif
