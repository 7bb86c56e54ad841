/*
 * wire/resp/resp_kept.h - kept topics for Redis clients: PUBLISH appends, and streams read.
 *
 * An entry's id is `<offset + 1>-0`: ids begin at 1-0 and have no gaps that were not in the log. Its fields are `value`, `key` where there is
 * one, and each header. A topic with one partition is a stream; one with more cannot be, since ids would not be in one order.
 */
#ifndef WEIR_WIRE_RESP_RESP_KEPT_H
#define WEIR_WIRE_RESP_RESP_KEPT_H

#include "broker/kept.h"
#include "wire/resp/resp_command.h"

/* ---- resp_append.c ---- */
/* PUBLISH, where the channel is a kept topic. false: it is not. */
bool weir_resp_publish_kept(struct weir_resp_session *session, const struct weir_resp_command *command,
                            enum weir_resp_outcome *outcome_out);
void weir_resp_fail_kept(struct weir_resp_session *session, enum weir_kept_result result);

/* ---- resp_entry.c: entries as bytes ---- */
struct weir_resp_entries { /* of one stream, gathered before they are answered */
    struct weir_text text;   /* encoded, back to back; arrays and bulk strings are alike in both protocols */
    size_t *starts;          /* where each begins: to answer them backwards */
    uint32_t count;
    uint32_t room;
    uint64_t next_offset;    /* behind the last one looked at */
    bool failed;
};
/*
 * Add the entries of what was fetched (committed) with offsets in [from, to], up to count_max altogether; records of transactions that were
 * aborted are none. More than bytes_max: failed.
 */
void weir_resp_entries_add(struct weir_resp_entries *entries, const struct weir_kept_fetch *fetch, uint64_t from, uint64_t to,
                           uint32_t count_max, size_t bytes_max);
void weir_resp_entries_write(struct weir_resp_session *session, const struct weir_resp_entries *entries, bool backwards, uint32_t count_max);
void weir_resp_entries_free(struct weir_resp_entries *entries);

/* "12-0", "12", "-", "+", "(12-0": the first offset at or after it (`upper` false), or the last at or before (true). false: not an id. */
bool weir_resp_id_parse(struct weir_resp_slice text, bool upper, uint64_t *offset_out, bool *none_out);
enum { WEIR_RESP_ID_BYTES = 32 };
size_t weir_resp_id_write(char text[WEIR_RESP_ID_BYTES], uint64_t offset); /* UINT64_MAX: "0-0" */

#endif
