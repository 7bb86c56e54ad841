/*
 * files.c - write a file so that it survives a power cut, then read it back, without ever blocking the reactor.
 * Try: files FOLDER
 *
 * Durable means: the bytes are synced, and so is the directory that names the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <weir/weir.h>

static const char text[] = "written by weir\n";

struct job {
    char path[4096];
    const char *folder;
    char read_back[64];
    int fd;
    int directory;
    int result; /* 1: still running */
};

static void end(struct job *job, int64_t result)
{
    job->result = result < 0 ? (int)result : 0;
}

static void on_read(struct weir_reactor *reactor, int64_t result, void *context)
{
    struct job *job = context;
    (void)reactor;
    if (result == (int64_t)sizeof text - 1 && memcmp(job->read_back, text, sizeof text - 1) == 0)
        printf("%.*s", (int)result, job->read_back);
    else if (result >= 0)
        result = -EIO;
    end(job, result);
}

static void on_directory_synced(struct weir_reactor *reactor, int64_t result, void *context)
{
    struct job *job = context;
    if (result < 0 ||
        weir_file_read(reactor, job->fd, job->read_back, sizeof job->read_back, 0, on_read, job) < 0)
        end(job, result < 0 ? result : -ENOMEM);
}

static void on_directory(struct weir_reactor *reactor, int64_t result, void *context)
{
    struct job *job = context;
    job->directory = (int)result;
    if (result < 0 || weir_file_sync(reactor, job->directory, false, on_directory_synced, job) < 0)
        end(job, result < 0 ? result : -ENOMEM);
}

static void on_synced(struct weir_reactor *reactor, int64_t result, void *context)
{
    struct job *job = context;
    if (result < 0 || weir_file_open(reactor, job->folder, O_RDONLY | O_DIRECTORY, 0, on_directory, job) < 0)
        end(job, result < 0 ? result : -ENOMEM);
}

static void on_written(struct weir_reactor *reactor, int64_t result, void *context)
{
    struct job *job = context;
    if (result != (int64_t)sizeof text - 1 || weir_file_sync(reactor, job->fd, true, on_synced, job) < 0)
        end(job, result < 0 ? result : -EIO);
}

static void on_opened(struct weir_reactor *reactor, int64_t result, void *context)
{
    struct job *job = context;
    job->fd = (int)result;
    if (result < 0 || weir_file_write(reactor, job->fd, text, sizeof text - 1, 0, on_written, job) < 0)
        end(job, result < 0 ? result : -ENOMEM);
}

int main(int argc, char **argv)
{
    struct job job = {.folder = argc > 1 ? argv[1] : ".", .result = 1};
    struct weir_runtime_options options = WEIR_OPTIONS(struct weir_runtime_options);
    struct weir_runtime *runtime;
    options.reactor_count = 1;
    if (weir_runtime_open(&options, &runtime) < 0)
        return 1;
    struct weir_reactor *reactor = weir_runtime_reactor(runtime, 0);
    weir_reactor_run_once(reactor, 0); /* this thread is the reactor's from now on */
    snprintf(job.path, sizeof job.path, "%s/weir-example.txt", job.folder);
    int result = weir_file_open(reactor, job.path, O_RDWR | O_CREAT | O_TRUNC, 0644, on_opened, &job);
    while (result == 0 && job.result == 1)
        if (weir_reactor_run_once(reactor, UINT64_MAX) < 0)
            break;
    weir_runtime_close(runtime);
    if (job.result != 0)
        fprintf(stderr, "failed: %s\n", strerror(job.result < 0 ? -job.result : EIO));
    return job.result == 0 ? 0 : 1;
}
