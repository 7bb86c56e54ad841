/*
 * strand.pml - a strand lent to a thief: its events run one at a time and in order, and none is left.
 *
 * The mailbox stays with its home reactor. Home hands a detached run of it to a thief, and does not make
 * the strand runnable again until the thief's `done` has come back over the ring, whatever arrives in the
 * meantime. States: idle, queued, running (here or away).
 */
/* breaks: RUNNABLE_BEFORE_DONE */
/* breaks: FORGETS_MAIL_AT_DONE */
#define EVENTS 4

mtype = { idle, queued, away };

mtype state = idle;
chan deque = [1] of { byte, byte }; /* first event of the run, and how many */
chan done = [1] of { byte };
byte arrived;  /* events ever put in the mailbox */
byte detached; /* events ever handed out, in runs */
byte ran;      /* events run */
byte runners;  /* how many run this strand now */

inline run_events(first, count)
{
    runners++;
    assert(runners == 1);
    do
    :: count > 0 ->
        assert(first == ran);
        ran++;
        first++;
        count--
    :: else -> break
    od;
    runners--
}

/* The home reactor: mail comes in, runs go out to the deque, it pops some of them itself. */
active proctype home()
{
    byte first, count;
    do
    :: arrived < EVENTS ->
        arrived++;
        if
        :: state == idle -> state = queued
#ifdef RUNNABLE_BEFORE_DONE
        :: state == away -> state = queued
#endif
        :: else
        fi
    :: state == queued && nfull(deque) -> /* detach a run and show it to thieves */
        count = arrived - detached;
        deque!detached, count;
        detached = arrived;
        state = away
    :: deque?first, count -> /* nobody stole it */
        run_events(first, count);
        done!0
    :: done?_ ->
        if
#ifndef FORGETS_MAIL_AT_DONE
        :: arrived > detached -> state = queued
#endif
        :: else -> state = idle
        fi
    :: arrived == EVENTS && state == idle -> break
    od;
    assert(ran == EVENTS)
}

active proctype thief()
{
    byte first, count;
end:
    do
    :: deque?first, count ->
        run_events(first, count);
        done!0
    od
}
