/* bench/rivals/c/emit_array.c - what any emitter is measured against: calling an array of function pointers. */
#include "bench/kit/measure.h"

typedef void (*handler_fn)(void *context, uint64_t value);
struct handler {
    handler_fn fn;
    void *context;
};

static void add(void *context, uint64_t value)
{
    *(uint64_t *)context += value;
}

static double emit(uint64_t count, const void *handler_count)
{
    static uint64_t sums[16];
    static struct handler handlers[16];
    for (int i = 0; i < 16; i++)
        handlers[i] = (struct handler){add, &sums[i]};
    unsigned many = *(const unsigned *)handler_count;
    struct handler *list = handlers;
    double from = measure_now_s();
    for (uint64_t i = 0; i < count; i++) {
        __asm__ volatile(""
                         : "+r"(many), "+r"(list)
                         :
                         : "memory"); /* the list may have changed since */
        for (unsigned k = 0; k < many; k++)
            list[k].fn(list[k].context, i);
    }
    return measure_now_s() - from;
}

int main(int argc, char **argv)
{
    static const unsigned one = 1, ten = 10;
    static const struct measure_case cases[] = {{"emit.1", "1/s", emit, &one},
                                                {"emit.10", "1/s", emit, &ten}};
    measure_pin(0);
    return measure_main(argc, argv, cases, 2);
}
