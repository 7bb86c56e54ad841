/*
 * sleep.pml - sleep and wake with store buffers: one waiter, two signallers, rings looked at twice.
 *
 * The same protocol as ring/sleep.h, on the machine it runs on: each thread's stores wait in a buffer of
 * their own (TSO), and a fence empties it. The explorer's models run the source; this one runs the idea,
 * for any number of turns, and shows that no signaller may leave a waiter parked over its work.
 */
/* breaks: NO_WAITER_FENCE */
/* breaks: NO_SIGNALLER_FENCE */
/* breaks: NO_SECOND_LOOK */
#define SIGNALLERS 2
#define ITEMS 2

byte tail[SIGNALLERS];   /* as everyone sees it */
byte buffered[SIGNALLERS]; /* as its writer has stored it */
byte read[SIGNALLERS];
bit asleep;
bit asleep_buffered;     /* the waiter's, if asleep_waits */
bit asleep_waits;
bit wake_token;

inline drain_buffer_of_waiter()
{
    if
    :: asleep_waits -> asleep = asleep_buffered; asleep_waits = 0
    :: else
    fi
}

/* The hardware empties a buffer whenever it likes. */
active proctype buffers()
{
end:
    do
    :: atomic { tail[0] != buffered[0] -> tail[0] = buffered[0] }
    :: atomic { tail[1] != buffered[1] -> tail[1] = buffered[1] }
    :: atomic { asleep_waits -> asleep = asleep_buffered; asleep_waits = 0 }
    od
}

proctype signaller(byte me)
{
    byte sent;
    bit taken;
    do
    :: sent < ITEMS ->
        sent++;
        buffered[me] = sent;
#ifndef NO_SIGNALLER_FENCE
        tail[me] = buffered[me];
#endif
        if
        :: asleep ->
            atomic { taken = asleep; asleep = 0; tail[me] = buffered[me] } /* a swap empties the buffer */
            if
            :: taken -> wake_token = 1
            :: else
            fi
        :: else
        fi
    :: else -> break
    od
}

active proctype waiter()
{
    do
    :: read[0] == ITEMS && read[1] == ITEMS -> break
    :: tail[0] != read[0] -> read[0] = tail[0]
    :: tail[1] != read[1] -> read[1] = tail[1]
    :: else ->
        atomic { asleep_buffered = 1; asleep_waits = 1 }
#ifndef NO_WAITER_FENCE
        atomic { drain_buffer_of_waiter() }
#endif
#ifndef NO_SECOND_LOOK
        if
        :: tail[0] != read[0] || tail[1] != read[1] -> goto up
        :: else
        fi;
#endif
        atomic { wake_token -> wake_token = 0 } /* park: an invalid end state if nobody ever wakes it */
up:
        atomic { asleep_buffered = 0; asleep_waits = 1 }
        atomic { drain_buffer_of_waiter() }
    od
}

init
{
    atomic {
        run signaller(0);
        run signaller(1)
    }
}
