//! Tasks made on one of two workers. The other gets what it steals.
//!
//! backlog: 1 us of work each, never more than 1,024 unfinished. burst: 256 made, then run to the end, before the next.
//! empty: as backlog, no work in them. Argument: crossbeam or tokio.
use rivals::{case, pin, Case};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::*};
use std::sync::Arc;
use std::time::Instant;

#[repr(align(128))]
struct Padded(AtomicU64);
static DONE: [Padded; 2] = [const { Padded(AtomicU64::new(0)) }; 2];
thread_local!(static WORKER: Cell<usize> = const { Cell::new(0) });

const BURST: u64 = 256;
const BACKLOG: u64 = 1024;

#[derive(Clone, Copy)]
struct Shape {
    cycles: u64,
    burst: bool,
}

fn cycles() -> u64 {
    #[cfg(target_arch = "x86_64")]
    unsafe { core::arch::x86_64::_rdtsc() }
    #[cfg(not(target_arch = "x86_64"))]
    { static FROM: std::sync::OnceLock<Instant> = std::sync::OnceLock::new(); FROM.get_or_init(Instant::now).elapsed().as_nanos() as u64 }
}

fn cycles_per_us() -> u64 {
    let (c, from) = (cycles(), Instant::now());
    while from.elapsed().as_micros() < 20_000 {}
    ((cycles() - c) as f64 / from.elapsed().as_secs_f64() / 1e6) as u64
}

#[inline]
fn task(spin: u64) {
    if spin > 0 {
        let from = cycles();
        while cycles() - from < spin {}
    }
    let mine = &DONE[WORKER.with(|w| w.get())].0;
    mine.store(mine.load(Relaxed) + 1, Release);
}
/// How many may be made now.
fn room(shape: Shape, made: u64, count: u64) -> u64 {
    let open = made - done();
    let room = if !shape.burst { BACKLOG - open } else if open == 0 { BURST } else { 0 };
    room.min(count - made)
}
fn done() -> u64 { DONE.iter().map(|d| d.0.load(Acquire)).sum() }
fn reset() { DONE.iter().for_each(|d| d.0.store(0, Release)); }

fn tokio_run(count: u64, shape: Shape) -> f64 {
    let next = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).on_thread_start(move || {
        let i = next.fetch_add(1, SeqCst) & 1;
        WORKER.with(|w| w.set(i));
        pin(i);
    }).build().unwrap();
    reset();
    let (tx, rx) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let from = Instant::now();
        let mut made = 0;
        while made < count {
            for _ in 0..room(shape, made, count) {
                tokio::spawn(async move { task(shape.cycles) });
                made += 1;
            }
            tokio::task::yield_now().await;
        }
        while done() < count { tokio::task::yield_now().await; }
        tx.send(from.elapsed().as_secs_f64()).unwrap();
    });
    let took = rx.recv().unwrap();
    runtime.shutdown_background();
    took
}

#[derive(Clone, Copy)]
struct Job(fn(u64), u64);

fn crossbeam_run(count: u64, shape: Shape) -> f64 {
    use crossbeam_deque::{Steal, Worker};
    let mine = Worker::<Job>::new_lifo();
    let stealer = mine.stealer();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    reset();
    let thief = std::thread::spawn(move || {
        pin(1);
        WORKER.with(|w| w.set(1));
        let stolen = Worker::<Job>::new_fifo();
        while !stopped.load(Relaxed) {
            match stealer.steal_batch_and_pop(&stolen) {
                Steal::Success(job) => {
                    (job.0)(job.1);
                    while let Some(job) = stolen.pop() { (job.0)(job.1); }
                }
                _ => std::hint::spin_loop(),
            }
        }
    });
    let owner = std::thread::spawn(move || {
        pin(0);
        WORKER.with(|w| w.set(0));
        let from = Instant::now();
        let mut made = 0;
        while made < count {
            let room = room(shape, made, count);
            for _ in 0..room { mine.push(std::hint::black_box(Job(task, shape.cycles))); }
            made += room;
            for _ in 0..BURST { match mine.pop() { Some(job) => (job.0)(job.1), None => break } }
        }
        while done() < count { while let Some(job) = mine.pop() { (job.0)(job.1); } }
        from.elapsed().as_secs_f64()
    });
    let took = owner.join().unwrap();
    stop.store(true, Relaxed);
    thief.join().unwrap();
    took
}

fn main() {
    let which = std::env::args().nth(1).unwrap_or_default();
    let run = if which == "tokio" { tokio_run } else { crossbeam_run };
    let us = cycles_per_us();
    let shapes = [("backlog", us, false), ("burst", us, true), ("empty", 0, false)];
    let cases: Vec<Case> = shapes.into_iter()
        .map(|(name, cycles, burst)| case(&format!("dispatch.{name}"), "1/s", move |n| run(n, Shape { cycles, burst })))
        .collect();
    rivals::serve(cases);
}
