//! The floor of `compare.py`: reads a JSON file, skips through it with `serde_json`, prints the seconds that skipping took.

use std::time::Instant;

use serde::de::IgnoredAny;

fn main() {
    // `cargo bench` runs every benchmark with flags only; there is nothing to skip then.
    let Some(path) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) else { return };
    let body = std::fs::read(path).expect("a readable file");
    let started = Instant::now();
    serde_json::from_slice::<IgnoredAny>(&body).expect("JSON");
    println!("{}", started.elapsed().as_secs_f64());
}
