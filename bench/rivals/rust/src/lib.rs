//! One repetition of one case, on demand: the same conversation as bench/kit/measure.h.
use std::io::BufRead;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::*};
use std::time::Instant;

pub type Run = Box<dyn Fn(u64) -> f64>;

pub struct Case {
    pub name: String,
    pub unit: &'static str,
    pub run: Run,
}

pub fn case(name: &str, unit: &'static str, run: impl Fn(u64) -> f64 + 'static) -> Case {
    Case { name: name.to_string(), unit, run: Box::new(run) }
}

pub fn pin(cpu: usize) {
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, std::mem::size_of::<libc::cpu_set_t>(), &set);
    }
}

/// Both sides start together on CPU 0 and 1; seconds until both have ended.
pub fn two(a: impl FnOnce() + Send + 'static, b: impl FnOnce() + Send + 'static) -> f64 {
    let ready = std::sync::Arc::new(AtomicU32::new(0));
    let side = |cpu: usize, run: Box<dyn FnOnce() + Send>| {
        let ready = ready.clone();
        std::thread::spawn(move || {
            pin(cpu);
            ready.fetch_add(1, SeqCst);
            while ready.load(SeqCst) < 2 {}
            let from = Instant::now();
            run();
            (from, Instant::now())
        })
    };
    let (x, y) = (side(0, Box::new(a)), side(1, Box::new(b)));
    let (x, y) = (x.join().unwrap(), y.join().unwrap());
    (x.1.max(y.1) - x.0.min(y.0)).as_secs_f64()
}

static PAUSES: AtomicBool = AtomicBool::new(false);

/// Who polls and finds nothing calls this; which of the two suits a case is tried first, as in bench/kit/measure.h.
#[inline(always)]
pub fn wait() {
    if PAUSES.load(Relaxed) {
        std::hint::spin_loop();
    }
}

#[derive(Clone, Copy, Default)]
struct Known {
    count: u64,
    seconds: f64,
    pauses: bool,
}

fn get_to_know(case: &Case, seconds: f64) -> Known {
    let (mut known, mut best) = (Known { seconds, ..Default::default() }, 0.0);
    for i in 0..4 {
        let pauses = i % 2 == 1;
        PAUSES.store(pauses, Relaxed);
        let count = if i < 2 { count_for(case, seconds) } else { known.count };
        let each = (case.run)(count) / count as f64;
        if i == 0 || each < best {
            known = Known { count, pauses, seconds };
            best = each;
        }
    }
    known
}

fn count_for(case: &Case, seconds: f64) -> u64 {
    let mut count = 1000u64;
    loop {
        let took = (case.run)(count);
        if took >= seconds / 8.0 || count >= 1 << 36 {
            return ((count as f64 * seconds / took) as u64).max(1000);
        }
        count *= 4;
    }
}

fn measure(cases: &[Case], all: &mut [Known], name: &str, ms: f64) {
    let Some(i) = cases.iter().position(|c| c.name == name) else {
        println!("{name} none 0");
        return;
    };
    let seconds = ms / 1000.0;
    if all[i].seconds != seconds {
        all[i] = get_to_know(&cases[i], seconds);
    }
    let count = all[i].count;
    PAUSES.store(all[i].pauses, Relaxed);
    let took = (cases[i].run)(count);
    let value = if cases[i].unit == "ns" { took * 1e9 / count as f64 } else { count as f64 / took };
    println!("{name} {} {value}", cases[i].unit);
}

/// Answer requests from the input.
pub fn serve(cases: Vec<Case>) {
    let mut all = vec![Known::default(); cases.len()];
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut words = line.split_whitespace();
        if let (Some(name), Some(ms)) = (words.next(), words.next()) {
            measure(&cases, &mut all, name, ms.parse().unwrap());
        }
    }
}

pub fn main(cases: Vec<Case>) {
    let args: Vec<String> = std::env::args().collect();
    if args.len() == 2 && args[1] == "--list" {
        cases.iter().for_each(|c| println!("{}", c.name));
    } else if args.len() >= 3 {
        let mut all = vec![Known::default(); cases.len()];
        measure(&cases, &mut all, &args[1], args[2].parse().unwrap());
    } else {
        serve(cases);
    }
}
