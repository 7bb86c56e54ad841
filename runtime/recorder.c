/* runtime/recorder.c - memory of the flight recorder, and its cells read back. Dumps: runtime/dump.c. */
#include "runtime/recorder.h"

#include <errno.h>
#include <stdlib.h>

static_assert(sizeof(struct weir_cell) == 16, "one store");

int weir_recorder_init(struct weir_recorder *recorder, uint32_t record_count, uint64_t first_id)
{
    recorder->cells = calloc(record_count, 2 * sizeof *recorder->cells);
    if (!recorder->cells)
        return -ENOMEM;
    recorder->mask = 2 * (uint64_t)record_count - 1;
    recorder->first = first_id;
    recorder->others = 0;
    recorder->told.next = 0;
    weir_store(&recorder->next, first_id, relaxed);
    return 0;
}

void weir_recorder_deinit(struct weir_recorder *recorder)
{
    free(recorder->cells);
    recorder->cells = NULL;
}

static uint16_t kind_of(uint32_t tag)
{
    return (uint16_t)(tag >> WEIR_CELL_KIND_SHIFT & WEIR_CELL_KIND_MASK);
}

/*
 * A cell may be written meanwhile: the dump throws away what was, as a reader of a sequence lock does. The read is meant to
 * race, so ThreadSanitizer is not told of it.
 */
__attribute__((noinline, no_sanitize("thread"))) static struct weir_cell read_cell(const struct weir_recorder *recorder,
                                                                                    uint64_t number)
{
    const volatile struct weir_cell *cell = &recorder->cells[number & recorder->mask];
    return (struct weir_cell){.tag = cell->tag, .a = cell->a, .word = cell->word};
}

struct weir_record weir_recorder_read(const struct weir_recorder *recorder, uint64_t number)
{
    struct weir_cell cell = read_cell(recorder, number);
    struct weir_cell second = read_cell(recorder, number + 1);
    struct weir_record record = {.number = (uint32_t)number, .a = cell.a};
    uint32_t form = cell.tag & WEIR_CELL_FORM;
    if (cell.tag <= WEIR_GENERATION_MAX) {
        record.kind = WEIR_RECORD_EMIT;
        record.b = 1;
    } else if (form == WEIR_CELL_OWN) {
        record.kind = kind_of(cell.tag);
        record.b = cell.tag & WEIR_CELL_B_MAX;
    } else if (form == WEIR_CELL_TOLD) {
        record.kind = WEIR_RECORD_DISPATCH;
        record.id = cell.word;
        record.b = (cell.tag & WEIR_CELL_B_MAX) == WEIR_CELL_B_MAX ? UINT32_MAX : cell.tag & WEIR_CELL_B_MAX;
        record.more = (uint16_t)(cell.tag >> WEIR_CELL_MORE_SHIFT & WEIR_CELL_MORE_MAX);
        return record;
    } else if (form == WEIR_CELL_FIRST && second.tag == WEIR_CELL_SECOND) {
        record.kind = kind_of(cell.tag);
        record.b = second.a;
        record.id = cell.word;
        record.cause_id = second.word;
        return record;
    } else {
        return record;
    }
    record.id = number;
    record.cause_id = cell.word;
    return record;
}
