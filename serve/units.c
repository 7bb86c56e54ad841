/* serve/units.c - see the header. Proof: tests/serve/units_test.c. */
#include "serve/units.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t times;
};

static bool parse(const char *text, const struct unit *units, uint64_t *out)
{
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno)
        return false;
    for (; units->name; units++) {
        if (strcasecmp(end, units->name) != 0)
            continue;
        return !__builtin_mul_overflow((uint64_t)number, units->times, out);
    }
    return false;
}

bool units_bytes(const char *text, uint64_t *bytes_out)
{
    static const struct unit units[] = {
        {"", 1},           {"b", 1},           {"k", 1 << 10},      {"kb", 1 << 10},
        {"kib", 1 << 10},  {"m", 1 << 20},     {"mb", 1 << 20},     {"mib", 1 << 20},
        {"g", 1ull << 30}, {"gb", 1ull << 30}, {"gib", 1ull << 30}, {NULL, 0}};
    return parse(text, units, bytes_out);
}

bool units_ns(const char *text, uint64_t *ns_out)
{
    static const struct unit units[] = {
        {"ns", 1},          {"us", 1000},         {"ms", 1000000},      {"s", 1000000000},
        {"m", 60000000000}, {"min", 60000000000}, {"h", 3600000000000}, {NULL, 0}};
    if (text[0] == '0' && text[1] == '\0') {
        *ns_out = 0;
        return true;
    }
    return parse(text, units, ns_out);
}

bool units_count(const char *text, uint64_t *count_out)
{
    static const struct unit units[] = {{"", 1}, {"k", 1000}, {"m", 1000000}, {NULL, 0}};
    return parse(text, units, count_out);
}

bool units_whole(const char *text, uint64_t *count_out)
{
    static const struct unit units[] = {{"", 1}, {NULL, 0}};
    return parse(text, units, count_out);
}

bool units_flag(const char *text, bool *flag_out)
{
    *flag_out = !strcasecmp(text, "true") || !strcasecmp(text, "yes") || !strcasecmp(text, "on");
    return *flag_out || !strcasecmp(text, "false") || !strcasecmp(text, "no") ||
           !strcasecmp(text, "off");
}
