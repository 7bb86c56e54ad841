/* runtime/recorder.c - memory of the flight recorder. Dumps: runtime/dump.c. */
#include "runtime/recorder.h"

#include <errno.h>
#include <stdlib.h>

int weir_recorder_init(struct weir_recorder *recorder, uint32_t record_count)
{
    recorder->records = calloc(record_count, sizeof *recorder->records);
    if (!recorder->records)
        return -ENOMEM;
    recorder->mask = record_count - 1;
    weir_store(&recorder->written, 0, relaxed);
    return 0;
}

void weir_recorder_deinit(struct weir_recorder *recorder)
{
    free(recorder->records);
    recorder->records = NULL;
}
