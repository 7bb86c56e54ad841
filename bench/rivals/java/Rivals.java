import com.lmax.disruptor.*;
import com.sun.jna.Library;
import com.sun.jna.Native;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.*;
import java.util.concurrent.atomic.AtomicInteger;
import org.jctools.queues.SpscArrayQueue;

/**
 * The LMAX Disruptor (values written into its slots) and JCTools' SPSC queue (given boxed values: what a producer of
 * numbers has to hand it). Argument: disruptor or jctools. Answers as bench/kit/measure.h says.
 */
public class Rivals
{
    interface C extends Library { int sched_setaffinity(int pid, long bytes, long[] mask); }
    static final C LIBC = Native.load("c", C.class);

    interface Side { void run() throws Exception; }
    interface Run { double go(long count) throws Exception; }
    record Case(String unit, Run run) { }

    static final Map<String, Case> CASES = new LinkedHashMap<>();
    static final Map<String, Long> COUNTS = new HashMap<>();
    static final int BURST = 64;

    static final class Word { long value; }
    static final class Wide { long a, b, c, d, e, f, g, h;
        void fill(long v) { a = v; b = v; c = v; d = v; e = v; f = v; g = v; h = v; } }

    /** JCTools leaves it to its user how to wait: which suits a case is tried first, as in bench/kit/measure.h. */
    static boolean pauses;
    static final Map<String, Boolean> PAUSES = new HashMap<>();
    static void pause() { if (pauses) Thread.onSpinWait(); }

    static void order(boolean kept) { if (!kept) throw new IllegalStateException("order"); }

    /** Both sides start together on CPU 0 and 1; seconds until both have ended. */
    static double two(Side a, Side b) throws Exception
    {
        AtomicInteger ready = new AtomicInteger();
        long[] from = new long[2], to = new long[2];
        Throwable[] failed = new Throwable[1];
        Thread[] threads = new Thread[2];
        for (int i = 0; i < 2; i++) {
            int me = i;
            threads[i] = new Thread(() -> {
                try {
                    LIBC.sched_setaffinity(0, 8, new long[]{1L << me});
                    ready.incrementAndGet();
                    while (ready.get() < 2) Thread.onSpinWait();
                    from[me] = System.nanoTime();
                    (me == 0 ? a : b).run();
                    to[me] = System.nanoTime();
                } catch (Throwable e) { failed[0] = e; }
            });
            threads[i].start();
        }
        for (Thread t : threads) t.join();
        if (failed[0] != null) throw new Exception(failed[0]);
        return (Math.max(to[0], to[1]) - Math.min(from[0], from[1])) / 1e9;
    }

    /* ---- Disruptor: the consumer reads up to what the barrier shows, and gives it back in one step. */

    interface Fill<T> { void fill(T slot, long value); }
    interface Check<T> { boolean holds(T slot, long value); }

    static <T> double flow(EventFactory<T> factory, int slots, int burst, long asked, Fill<T> fill, Check<T> check) throws Exception
    {
        long count = asked / burst * burst;
        RingBuffer<T> ring = RingBuffer.createSingleProducer(factory, slots, new BusySpinWaitStrategy());
        SequenceBarrier barrier = ring.newBarrier();
        Sequence read = new Sequence(-1);
        ring.addGatingSequences(read);
        return two(() -> {
            for (long i = 0; i < count; i += burst) {
                long high = ring.next(burst), low = high - burst + 1;
                for (long s = low; s <= high; s++) fill.fill(ring.get(s), s);
                ring.publish(low, high);
            }
        }, () -> {
            for (long next = 0; next < count; ) {
                long shown = barrier.waitFor(next);
                for (; next <= shown; next++) order(check.holds(ring.get(next), next));
                read.set(shown);
            }
        });
    }

    static <T> double trip(EventFactory<T> factory, long count, Fill<T> fill, Check<T> check) throws Exception
    {
        RingBuffer<T> there = RingBuffer.createSingleProducer(factory, 1024, new BusySpinWaitStrategy());
        RingBuffer<T> back = RingBuffer.createSingleProducer(factory, 1024, new BusySpinWaitStrategy());
        SequenceBarrier atThere = there.newBarrier(), atBack = back.newBarrier();
        Sequence readThere = new Sequence(-1), readBack = new Sequence(-1);
        there.addGatingSequences(readThere);
        back.addGatingSequences(readBack);
        return two(() -> {
            for (long i = 0; i < count; i++) {
                long s = there.next(); fill.fill(there.get(s), i); there.publish(s);
                atBack.waitFor(i);
                order(check.holds(back.get(i), i));
                readBack.set(i);
            }
        }, () -> {
            for (long i = 0; i < count; i++) {
                atThere.waitFor(i);
                order(check.holds(there.get(i), i));
                readThere.set(i);
                long s = back.next(); fill.fill(back.get(s), i); back.publish(s);
            }
        });
    }

    static <T> void disruptor(String bytes, EventFactory<T> factory, Fill<T> fill, Check<T> check)
    {
        for (int slots : new int[]{1024, 65536}) {
            String size = bytes + "." + slots / 1024 + "k";
            CASES.put("ring.one." + size, new Case("1/s", n -> flow(factory, slots, 1, n, fill, check)));
            CASES.put("ring.burst." + size, new Case("1/s", n -> flow(factory, slots, BURST, n, fill, check)));
        }
        CASES.put("ring.trip." + bytes, new Case("ns", n -> trip(factory, n, fill, check)));
    }

    /* ---- JCTools */

    static double boxed(long count, int slots) throws Exception
    {
        SpscArrayQueue<Long> queue = new SpscArrayQueue<>(slots);
        return two(() -> {
            for (long i = 0; i < count; i++) { Long boxed = i; while (!queue.offer(boxed)) pause(); }
        }, () -> {
            for (long i = 0; i < count; i++) { Long got; while ((got = queue.poll()) == null) pause(); order(got == i); }
        });
    }

    static double boxedBursts(long asked, int slots) throws Exception
    {
        long count = asked / BURST * BURST;
        SpscArrayQueue<Long> queue = new SpscArrayQueue<>(slots);
        return two(() -> {
            long[] next = new long[1];
            while (next[0] < count)
                if (queue.fill(() -> next[0]++, (int)Math.min(BURST, count - next[0])) == 0) pause();
        }, () -> {
            long[] next = new long[1];
            while (next[0] < count)
                if (queue.drain(got -> order(got == next[0]++), slots) == 0) pause();
        });
    }

    static double boxedTrip(long count) throws Exception
    {
        SpscArrayQueue<Long> there = new SpscArrayQueue<>(1024), back = new SpscArrayQueue<>(1024);
        return two(() -> {
            for (long i = 0; i < count; i++) {
                Long boxed = i, got;
                while (!there.offer(boxed)) pause();
                while ((got = back.poll()) == null) pause();
                order(got == i);
            }
        }, () -> {
            for (long i = 0; i < count; i++) {
                Long got;
                while ((got = there.poll()) == null) pause();
                Long boxed = got + 0;
                while (!back.offer(boxed)) pause();
            }
        });
    }

    static void jctools()
    {
        for (int slots : new int[]{1024, 65536}) {
            CASES.put("ring.one.8B." + slots / 1024 + "k", new Case("1/s", n -> boxed(n, slots)));
            CASES.put("ring.burst.8B." + slots / 1024 + "k", new Case("1/s", n -> boxedBursts(n, slots)));
        }
        CASES.put("ring.trip.8B", new Case("ns", Rivals::boxedTrip));
    }

    static void measure(String name, double ms) throws Exception
    {
        Case c = CASES.get(name);
        if (c == null) { System.out.println(name + " none 0"); return; }
        double seconds = ms / 1000;
        Long count = COUNTS.get(name + ms);
        if (count == null) {
            count = 10_000L;
            double took;
            while ((took = c.run.go(count)) < seconds / 4) count *= 4;
            double[] best = {Double.MAX_VALUE, Double.MAX_VALUE};
            for (int i = 0; i < 6; i++) { // the compiler has seen it all by then
                pauses = i % 2 == 1;
                took = c.run.go(count);
                best[i % 2] = Math.min(best[i % 2], took);
            }
            count = Math.max(10_000, (long)(count * seconds / Math.min(best[0], best[1])));
            COUNTS.put(name + ms, count);
            PAUSES.put(name + ms, best[1] < best[0]);
        }
        pauses = PAUSES.get(name + ms);
        double took = c.run.go(count);
        System.out.printf(Locale.ROOT, "%s %s %.6g%n", name, c.unit, c.unit.equals("ns") ? took * 1e9 / count : count / took);
    }

    public static void main(String[] args) throws Exception
    {
        if (args[0].equals("jctools")) jctools();
        else {
            disruptor("8B", Word::new, (s, v) -> s.value = v, (s, v) -> s.value == v);
            disruptor("64B", Wide::new, (s, v) -> s.fill(v), (s, v) -> s.a == v && s.h == v);
        }
        if (args.length == 3) { measure(args[1], Double.parseDouble(args[2])); return; }
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.trim().split(" ");
            if (words.length == 2) measure(words[0], Double.parseDouble(words[1]));
        }
    }
}
