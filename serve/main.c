/* serve/main.c - the program's first word chooses: serve, trace. */
#include <stdio.h>
#include <string.h>

#include <weir/base.h>

#include "serve/serve.h"
#include "serve/trace.h"

static const char help[] =
    "Usage: weir COMMAND [OPTION]...\n"
    "\n"
    "  serve   serve topics to Redis clients\n"
    "  trace   print a flight recorder's dump as a tree of causes\n"
    "\n"
    "Try 'weir COMMAND --help', or start right away:\n"
    "  weir serve\n"
    "  redis-cli SUBSCRIBE news\n"
    "  redis-cli PUBLISH news hello\n";

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "serve") == 0)
        return serve_main(argc - 1, argv + 1);
    if (strcmp(word, "trace") == 0)
        return trace_main(argc - 1, argv + 1);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        printf("weir %s\n", weir_version());
        return 0;
    }
    if (*word)
        fprintf(stderr, "weir: unknown command '%s'\n", word);
    fputs(help, stderr);
    return 2;
}
