/* serve/options.h - the command line of `weir serve`. */
#ifndef WEIR_SERVE_OPTIONS_H
#define WEIR_SERVE_OPTIONS_H

#include "serve/settings.h"

enum options_result {
    OPTIONS_GO,
    OPTIONS_DONE,     /* help or the version was asked for and printed */
    OPTIONS_WRONG,    /* a sentence is in error_out */
    OPTIONS_BAD_FILE, /* the same, about the file of settings */
};

/* Reads --config first wherever it stands, so that the command line wins. Prints help and version itself. */
enum options_result options_read(struct settings *settings, int argc, char **argv, char *error_out,
                                 size_t error_bytes);

#endif
