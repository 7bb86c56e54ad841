/*
 * tests/runtime/deny_uring.c - run a program where io_uring is denied by seccomp, as container runtimes do by default.
 *
 *     deny_uring PROGRAM [ARGUMENT]...
 *
 * io_uring's three calls answer EPERM to the program and its children. That they do is seen to before it begins.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define DENY_IF(number) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

static int deny(void)
{
    struct sock_filter filter[] = {
        LOAD(nr),
        DENY_IF(__NR_io_uring_setup),
        DENY_IF(__NR_io_uring_enter),
        DENY_IF(__NR_io_uring_register),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: deny_uring PROGRAM [ARGUMENT]...\n");
        return 2;
    }
    if (deny() != 0) {
        perror("deny_uring: seccomp");
        return 77;
    }
    if (syscall(__NR_io_uring_setup, 1, NULL) != -1 || errno != EPERM) {
        fprintf(stderr, "deny_uring: io_uring is not denied\n");
        return 1;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}
