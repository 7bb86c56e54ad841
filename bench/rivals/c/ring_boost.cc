/* bench/rivals/c/ring_boost.cc - boost::lockfree::spsc_queue; bursts by push(range) and consume_all. */
#include <boost/lockfree/spsc_queue.hpp>

#include "bench/rivals/c/ring.hh"

template <class T> struct queue {
    boost::lockfree::spsc_queue<T> q;
    explicit queue(unsigned slots) : q(slots)
    {
    }
    bool put(const T &slot)
    {
        return q.push(slot);
    }
    bool get(T &slot)
    {
        return q.pop(slot);
    }
    unsigned put_many(const T *slots, unsigned count)
    {
        return static_cast<unsigned>(q.push(slots, count));
    }
    template <class F> unsigned each(F f)
    {
        return static_cast<unsigned>(q.consume_all(f));
    }
};

int main(int argc, char **argv)
{
    return ring::main<queue>(argc, argv);
}
