//! rtrb: one by one, bursts of 64 through its chunks, round trip.
use rivals::{case, two, wait, Case};

trait Slot: Copy + Default + Send + 'static {
    fn of(i: u64) -> Self;
    fn holds(&self, i: u64) -> bool;
}
impl Slot for u64 {
    fn of(i: u64) -> Self { i }
    fn holds(&self, i: u64) -> bool { *self == i }
}
#[derive(Clone, Copy, Default)]
struct Wide([u64; 8]);
impl Slot for Wide {
    fn of(i: u64) -> Self { Wide([i; 8]) }
    fn holds(&self, i: u64) -> bool { self.0[0] == i && self.0[7] == i }
}

fn one<T: Slot>(count: u64, slots: usize) -> f64 {
    let (mut tx, mut rx) = rtrb::RingBuffer::<T>::new(slots);
    two(
        move || for i in 0..count { while tx.push(T::of(i)).is_err() { wait(); } },
        move || {
            let mut i = 0;
            while i < count {
                if let Ok(v) = rx.pop() {
                    assert!(v.holds(i));
                    i += 1;
                } else {
                    wait();
                }
            }
        },
    )
}

fn burst<T: Slot>(count: u64, slots: usize) -> f64 {
    let count = count / 64 * 64;
    let (mut tx, mut rx) = rtrb::RingBuffer::<T>::new(slots);
    two(
        move || {
            let mut i = 0;
            while i < count {
                if let Ok(chunk) = tx.write_chunk_uninit(64) {
                    i += chunk.fill_from_iter((i..i + 64).map(T::of)) as u64;
                } else {
                    wait();
                }
            }
        },
        move || {
            let mut i = 0;
            while i < count {
                let ready = rx.slots();
                if ready == 0 {
                    wait();
                    continue;
                }
                let chunk = rx.read_chunk(ready).unwrap();
                let (a, b) = chunk.as_slices();
                for v in a.iter().chain(b) {
                    assert!(v.holds(i));
                    i += 1;
                }
                chunk.commit_all();
            }
        },
    )
}

fn trip<T: Slot>(count: u64) -> f64 {
    let (mut there, mut at_there) = rtrb::RingBuffer::<T>::new(1024);
    let (mut back, mut at_back) = rtrb::RingBuffer::<T>::new(1024);
    two(
        move || for i in 0..count {
            while there.push(T::of(i)).is_err() { wait(); }
            let v = loop { if let Ok(v) = at_back.pop() { break v; } wait(); };
            assert!(v.holds(i));
        },
        move || for _ in 0..count {
            let v = loop { if let Ok(v) = at_there.pop() { break v; } wait(); };
            while back.push(v).is_err() { wait(); }
        },
    )
}

fn all<T: Slot>(bytes: &str, cases: &mut Vec<Case>) {
    for (slots, text) in [(1024usize, "1k"), (65536, "64k")] {
        cases.push(case(&format!("ring.one.{bytes}.{text}"), "1/s", move |n| one::<T>(n, slots)));
        cases.push(case(&format!("ring.burst.{bytes}.{text}"), "1/s", move |n| burst::<T>(n, slots)));
    }
    cases.push(case(&format!("ring.trip.{bytes}"), "ns", trip::<T>));
}

fn main() {
    let mut cases = Vec::new();
    all::<u64>("8B", &mut cases);
    all::<Wide>("64B", &mut cases);
    rivals::main(cases);
}
