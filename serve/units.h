/* serve/units.h - numbers with units as people write them: "8mb", "60s", "250us", "10k". */
#ifndef WEIR_SERVE_UNITS_H
#define WEIR_SERVE_UNITS_H

#include <stdbool.h>
#include <stdint.h>

bool units_bytes(const char *text,
                 uint64_t *bytes_out); /* b k kb kib m mb mib g gb gib; all powers of 1024 */
bool units_ns(const char *text,
              uint64_t *ns_out); /* ns us ms s m h; a bare 0 is fine, another bare number is not */
bool units_count(const char *text, uint64_t *count_out); /* k m; powers of 1000 */
bool units_whole(const char *text, uint64_t *count_out); /* digits alone: a port is not "6k" */
bool units_flag(const char *text, bool *flag_out);       /* true false yes no on off */

#endif
