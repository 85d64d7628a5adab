//! The words of a text, exchanged by hash and counted: `exchange FILE WORKERS [PROCESS ADDRESS...]`. The same as
//! `../../c/exchange.c`; with addresses, one process of several. What each counted is its own then.

use std::collections::hash_map::{DefaultHasher, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;
use std::{cell::RefCell, rc::Rc};

use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::vec::Map;
use timely::dataflow::operators::{Exchange, Input};
use timely::dataflow::InputHandle;

const LINES_PER_STEP: usize = 256;

static WORDS: AtomicU64 = AtomicU64::new(0);
static KEYS: AtomicU64 = AtomicU64::new(0);
static SQUARES: AtomicU64 = AtomicU64::new(0);

#[repr(C)]
#[derive(Default)]
struct TimeSpec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut TimeSpec) -> i32;
}

fn process_cpu_ns() -> i64 {
    const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
    let mut time = TimeSpec::default();
    assert_eq!(
        unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mut time) },
        0
    );
    time.seconds * 1_000_000_000 + time.nanoseconds
}

fn monotonic_ns() -> i64 {
    const CLOCK_MONOTONIC: i32 = 1;
    let mut time = TimeSpec::default();
    assert_eq!(unsafe { clock_gettime(CLOCK_MONOTONIC, &mut time) }, 0);
    time.seconds * 1_000_000_000 + time.nanoseconds
}

fn hash(word: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    word.hash(&mut hasher);
    hasher.finish()
}

/// Counts on this worker: it reads every n-th block of lines, and owns the words that hash to it.
fn count(worker: &mut timely::worker::Worker, lines: &'static [&'static str]) {
    let mut input = InputHandle::new();
    let counts = Rc::new(RefCell::new(HashMap::<String, u64>::new()));
    let counted = counts.clone();
    worker.dataflow::<u64, _, _>(|scope| {
        scope
            .input_from(&mut input)
            .container::<Vec<_>>()
            .flat_map(|line: &'static str| line.split_ascii_whitespace().map(str::to_owned))
            .exchange(|word| hash(word))
            .unary::<timely::container::CapacityContainerBuilder<Vec<()>>, _, _, _>(
                Pipeline,
                "count",
                move |_, _| {
                    move |input, _output| {
                        let mut counts = counts.borrow_mut();
                        input.for_each_stamp(|_, batches| {
                            for word in batches.flat_map(|batch| batch.drain(..)) {
                                *counts.entry(word).or_insert(0) += 1;
                            }
                        });
                    }
                },
            );
    });
    let blocks = lines
        .chunks(LINES_PER_STEP)
        .skip(worker.index())
        .step_by(worker.peers());
    for block in blocks {
        for line in block {
            input.send(*line);
        }
        worker.step();
    }
    input.close();
    while worker.has_dataflows() {
        worker.step_or_park(None);
    }
    for count in counted.borrow().values() {
        WORDS.fetch_add(*count, Relaxed);
        KEYS.fetch_add(1, Relaxed);
        SQUARES.fetch_add(count * count, Relaxed);
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let text: &'static str = std::fs::read_to_string(&args[1])
        .expect("a text file")
        .leak();
    let lines: &'static [&'static str] = text.lines().collect::<Vec<_>>().leak();
    let workers = args[2].parse().expect("a number of workers");

    let config = if args.len() > 3 {
        timely::Config {
            communication: timely::CommunicationConfig::Cluster {
                threads: workers,
                process: args[3].parse().expect("a process"),
                addresses: args[4..].to_vec(),
                report: false,
                zerocopy: false,
            },
            worker: timely::WorkerConfig::default(),
        }
    } else if workers == 1 {
        timely::Config::thread()
    } else {
        timely::Config::process(workers)
    };
    if args.len() > 3 {
        // All of them have read the text before any begins.
        println!("ready");
        std::io::stdin()
            .read_line(&mut String::new())
            .expect("a line");
    }
    let (cpu, wall) = (process_cpu_ns(), Instant::now());
    let start = monotonic_ns();
    timely::execute(config, move |worker| count(worker, lines)).expect("workers");
    let (cpu, wall) = (process_cpu_ns() - cpu, wall.elapsed().as_nanos());

    let words = WORDS.load(Relaxed);
    if args.len() > 3 {
        println!(
            r#"{{"cpu": {}, "start": {}, "end": {}, "words": {}}}"#,
            cpu,
            start,
            monotonic_ns(),
            words
        );
        return;
    }
    println!(
        r#"{{"cpu": {:.2}, "wall": {:.2}, "digest": "{} {} {}"}}"#,
        cpu as f64 / words as f64,
        wall as f64 / words as f64,
        words,
        KEYS.load(Relaxed),
        SQUARES.load(Relaxed),
    );
}
