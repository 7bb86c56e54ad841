/*
 * serve/section.c - a mapping of a YAML document by a table of its keys; every complaint names its line.
 *
 * Unknown keys are errors, since a setting that is silently not set is worse than a start that fails. So is a key given
 * twice, which YAML forbids and libyaml lets pass. Proof: tests/serve/config_test.c.
 */
#include "serve/section.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve/typo.h"
#include "serve/units.h"

int section_complain(struct section_reader *reader, const yaml_node_t *node, const char *format, ...)
{
    int used = snprintf(reader->error_out, reader->error_bytes, "%s:%zu: %s%s", reader->path,
                        node->start_mark.line + 1, reader->key ? reader->key : "",
                        reader->key ? ": " : "");
    if (used > 0 && (size_t)used < reader->error_bytes) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(reader->error_out + used, reader->error_bytes - (size_t)used, format, arguments);
        va_end(arguments);
    }
    return -EINVAL;
}

const char *section_scalar(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static int unknown_key(struct section_reader *reader, const yaml_node_t *node,
                       const struct section_key *keys)
{
    const char *word = section_scalar(node) ? section_scalar(node) : "?";
    char known[256] = "";
    size_t used = 0;
    struct typo typo;
    typo_init(&typo, word);
    for (; keys->name && used < sizeof known - 1; keys++) {
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "",
                                 keys->name);
        typo_try(&typo, keys->name);
    }
    if (typo_best(&typo))
        return section_complain(reader, node, "unknown key '%s'; did you mean '%s'?", word,
                                typo_best(&typo));
    return section_complain(reader, node, "unknown key '%s'; known here: %s", word, known);
}

static yaml_node_t *find_before(struct section_reader *reader, const yaml_node_t *node,
                                const char *name, const yaml_node_pair_t *end)
{
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < end; pair++) {
        yaml_node_t *key = yaml_document_get_node(&reader->document, pair->key);
        if (name && section_scalar(key) && strcmp(section_scalar(key), name) == 0)
            return yaml_document_get_node(&reader->document, pair->value);
    }
    return NULL;
}

yaml_node_t *section_find(struct section_reader *reader, const yaml_node_t *node, const char *name)
{
    return node->type == YAML_MAPPING_NODE
               ? find_before(reader, node, name, node->data.mapping.pairs.top)
               : NULL;
}

/* YAML forbids a key twice, but the parser does not look. */
int section_check_new(struct section_reader *reader, const yaml_node_t *node,
                      const yaml_node_pair_t *pair)
{
    yaml_node_t *name = yaml_document_get_node(&reader->document, pair->key);
    const yaml_node_t *earlier = find_before(reader, node, section_scalar(name), pair);
    if (!earlier)
        return 0;
    return section_complain(reader, name, "'%s' is given twice, first on line %zu",
                            section_scalar(name), earlier->start_mark.line + 1);
}

static int take_key(struct section_reader *reader, const yaml_node_t *node,
                    const yaml_node_pair_t *pair, const struct section_key *keys, void *target)
{
    yaml_node_t *name = yaml_document_get_node(&reader->document, pair->key);
    yaml_node_t *value = yaml_document_get_node(&reader->document, pair->value);
    const struct section_key *key = keys;
    while (key->name && (!section_scalar(name) || strcmp(key->name, section_scalar(name)) != 0))
        key++;
    if (!key->name)
        return unknown_key(reader, name, keys);
    int result = section_check_new(reader, node, pair);
    if (result < 0)
        return result;
    reader->key = key->name;
    result = key->take(reader, value, target);
    reader->key = NULL;
    return result;
}

int section_take(struct section_reader *reader, yaml_node_t *node, const struct section_key *keys,
                 void *target)
{
    if (node->type != YAML_MAPPING_NODE)
        return section_complain(reader, node,
                                "expected keys and values here (`key: value`, indented)");
    reader->key = NULL;
    int result = 0;
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++)
        if (result == 0)
            result = take_key(reader, node, pair, keys, target);
    return result;
}

int section_number(struct section_reader *reader, yaml_node_t *node, uint64_t least, uint64_t most,
                   uint64_t *out)
{
    if (!section_scalar(node) || !units_count(section_scalar(node), out) || *out < least ||
        *out > most)
        return section_complain(reader, node, "expected a number from %llu to %llu",
                                (unsigned long long)least, (unsigned long long)most);
    return 0;
}

int section_u32(struct section_reader *reader, yaml_node_t *node, uint64_t least, uint64_t most,
                uint32_t *out)
{
    uint64_t number = 0;
    if (!section_scalar(node) || !units_whole(section_scalar(node), &number) || number < least ||
        number > most)
        return section_complain(reader, node, "expected a number from %llu to %llu",
                                (unsigned long long)least, (unsigned long long)most);
    *out = (uint32_t)number;
    return 0;
}

int section_bytes(struct section_reader *reader, yaml_node_t *node, uint64_t *out)
{
    return section_scalar(node) && units_bytes(section_scalar(node), out)
               ? 0
               : section_complain(reader, node, "expected a size such as 64kb, 8mb, 1gb");
}

int section_ns(struct section_reader *reader, yaml_node_t *node, uint64_t *out)
{
    return section_scalar(node) && units_ns(section_scalar(node), out)
               ? 0
               : section_complain(reader, node,
                                  "expected a time with its unit, such as 250us, 100ms, 60s");
}

int section_flag(struct section_reader *reader, yaml_node_t *node, bool *out)
{
    return section_scalar(node) && units_flag(section_scalar(node), out)
               ? 0
               : section_complain(reader, node, "expected yes or no");
}

int section_text(struct section_reader *reader, yaml_node_t *node, char **out)
{
    if (!section_scalar(node) || !*section_scalar(node))
        return section_complain(reader, node, "expected text");
    free(*out);
    *out = strdup(section_scalar(node));
    return *out ? 0 : -ENOMEM;
}
