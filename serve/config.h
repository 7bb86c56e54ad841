/*
 * serve/config.h - the settings file, in YAML. docs/man/weir.conf.5 lists the keys.
 */
#ifndef WEIR_SERVE_CONFIG_H
#define WEIR_SERVE_CONFIG_H

#include <stddef.h>

#include "serve/settings.h"

/* Read `path` over `settings`. 0; a negative errno, with "path:line: what is wrong and the mend" in error_out. */
int config_read(struct settings *settings, const char *path, char *error_out, size_t error_bytes);

#endif
