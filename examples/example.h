/* example.h - what the example servers share: their options, and running until a signal. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/weir.h>

struct example_options {
    unsigned port;
    unsigned cores;
    const char *io;
};

static inline void example_parse(int argc, char **argv, struct example_options *options)
{
    static const struct option known[] = {{"port", required_argument, NULL, 'p'},
                                          {"cores", required_argument, NULL, 'n'},
                                          {"io", required_argument, NULL, 'i'},
                                          {NULL, 0, NULL, 0}};
    for (int option; (option = getopt_long(argc, argv, "p:n:i:", known, NULL)) != -1;) {
        if (option == 'p')
            options->port = (unsigned)atoi(optarg);
        else if (option == 'n')
            options->cores = (unsigned)atoi(optarg);
        else if (option == 'i')
            options->io = optarg;
        else
            exit(2);
    }
}

static inline void example_log(void *context, enum weir_log_level level, const char *line)
{
    (void)context;
    if (level >= WEIR_LOG_WARN)
        fprintf(stderr, "%s\n", line);
}

/* Start, print "ready PORT", wait for SIGINT or SIGTERM, drain. The exit status. */
static inline int example_run(struct weir_runtime_options *runtime_options, const struct example_options *options,
                              const unsigned *port)
{
    struct weir_runtime *runtime;
    sigset_t signals;
    int number;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    runtime_options->reactor_count = options->cores;
    runtime_options->log = example_log;
    if (options->io)
        runtime_options->io = strcmp(options->io, "epoll") == 0   ? WEIR_IO_EPOLL
                              : strcmp(options->io, "uring") == 0 ? WEIR_IO_URING
                                                                  : WEIR_IO_AUTO;
    int result = weir_runtime_open(runtime_options, &runtime);
    if (result == 0)
        result = weir_runtime_start(runtime);
    if (result < 0) {
        fprintf(stderr, "cannot start: %s\n", strerror(-result));
        return 1;
    }
    printf("ready %u\n", *port);
    fflush(stdout);
    sigwait(&signals, &number);
    weir_runtime_close(runtime);
    return 0;
}

#endif
