/* bench/rivals/c/ring_rte.cc - DPDK's rte_ring, single producer and consumer, without its environment; bursts by its burst calls. */
#include <cstdlib>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "bench/rivals/c/ring.hh"

template <class T> struct queue {
    rte_ring *r;
    explicit queue(unsigned slots)
    {
        /* Of twice the size, limited to `slots`: otherwise one slot would be missing. */
        auto bytes = static_cast<size_t>(rte_ring_get_memsize_elem(sizeof(T), slots * 2));
        r = static_cast<rte_ring *>(aligned_alloc(128, (bytes + 127) / 128 * 128));
        rte_ring_init(r, "rival", slots * 2, RING_F_SP_ENQ | RING_F_SC_DEQ);
        r->capacity = slots;
    }
    ~queue()
    {
        free(r);
    }
    bool put(const T &slot)
    {
        T copy = slot;
        return rte_ring_sp_enqueue_elem(r, &copy, sizeof(T)) == 0;
    }
    bool get(T &slot)
    {
        return rte_ring_sc_dequeue_elem(r, &slot, sizeof(T)) == 0;
    }
    unsigned put_many(const T *slots, unsigned count)
    {
        return rte_ring_sp_enqueue_burst_elem(r, slots, sizeof(T), count, nullptr);
    }
    template <class F> unsigned each(F f)
    {
        T slots[ring::burst_slots];
        unsigned count = rte_ring_sc_dequeue_burst_elem(r, slots, sizeof(T), ring::burst_slots,
                                                        nullptr);
        for (unsigned i = 0; i < count; i++)
            f(slots[i]);
        return count;
    }
};

int main(int argc, char **argv)
{
    return ring::main<queue>(argc, argv);
}
