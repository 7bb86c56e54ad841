/* serve/main.c - the program's first word chooses: serve, trace. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weir/base.h>

#include "serve/serve.h"
#include "serve/trace.h"
#include "serve/typo.h"

static const char help[] = "Usage: weir COMMAND [OPTION]...\n"
                           "\n"
                           "  serve   serve topics to Redis clients\n"
                           "  trace   print a flight recorder's dump as a tree of causes\n"
                           "\n"
                           "Try 'weir COMMAND --help', or start right away:\n"
                           "  weir serve\n"
                           "  redis-cli SUBSCRIBE news\n"
                           "  redis-cli PUBLISH news hello\n";

static void unknown(const char *word)
{
    static const char *const words[] = {"serve", "trace", "help", "--help", "--version"};
    struct typo typo;
    typo_init(&typo, word);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        typo_try(&typo, words[i]);
    fprintf(stderr, "weir: unknown command '%s'", word);
    if (typo_best(&typo))
        fprintf(stderr, "; did you mean '%s'?", typo_best(&typo));
    fputs("\nTry 'weir --help'.\n", stderr);
}

/* A closed standard descriptor would be the next socket's, and log lines would go to a client. */
static void hold_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
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
        unknown(word);
    else
        fputs(help, stderr);
    return 2;
}
