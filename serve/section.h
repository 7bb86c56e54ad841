/*
 * serve/section.h - a mapping of a YAML document by a table of its keys.
 *
 * Everything that takes a value answers 0, -ENOMEM, or -EINVAL with a sentence in error_out.
 */
#ifndef WEIR_SERVE_SECTION_H
#define WEIR_SERVE_SECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

struct settings;

struct section_reader {
    struct settings *settings;
    yaml_document_t document;
    const char *path;
    const char *key; /* whose value is being taken; NULL: none */
    char *error_out;
    size_t error_bytes;
};

/* `target` is what the section fills. A table ends with a name of NULL. */
struct section_key {
    const char *name;
    int (*take)(struct section_reader *reader, yaml_node_t *value, void *target);
};

int section_take(struct section_reader *reader, yaml_node_t *node, const struct section_key *keys,
                 void *target);

/* "FILE:LINE: KEY: ..." of the node; -EINVAL. */
__attribute__((format(printf, 3, 4))) int
section_complain(struct section_reader *reader, const yaml_node_t *node, const char *format, ...);
const char *section_scalar(const yaml_node_t *node); /* NULL: a list or a mapping */
yaml_node_t *section_find(struct section_reader *reader, const yaml_node_t *node, const char *name);
/* Does this key of the mapping stand there for the first time? */
int section_check_new(struct section_reader *reader, const yaml_node_t *node,
                      const yaml_node_pair_t *pair);

int section_number(struct section_reader *reader, yaml_node_t *node, uint64_t least, uint64_t most,
                   uint64_t *out);
int section_u32(struct section_reader *reader, yaml_node_t *node, uint64_t least, uint64_t most,
                uint32_t *out);
int section_bytes(struct section_reader *reader, yaml_node_t *node, uint64_t *out);
int section_ns(struct section_reader *reader, yaml_node_t *node, uint64_t *out);
int section_flag(struct section_reader *reader, yaml_node_t *node, bool *out);
int section_text(struct section_reader *reader, yaml_node_t *node,
                 char **out); /* replaces what *out had; the caller frees */

#endif
