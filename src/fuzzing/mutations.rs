//! The bounded run: the stored corpus, and mutations of it that are the same every time.

use std::path::PathBuf;

/// Files that would slow the tests down, or make the repository heavy, belong into a fuzzer's own corpus.
const MAX_FILE_BYTES: u64 = 4096;
const MAX_CORPUS_BYTES: u64 = 100_000;

/// A small generator of the same numbers every time (xorshift64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % sides.max(1)
    }
}

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder(target)).expect("a corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    assert!(paths.len() >= 3, "the corpus of {target} is worth mutating");
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

/// One to four small changes.
fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>, others: &[Vec<u8>], tokens: &[&str]) {
    for _ in 0..=dice.roll(4) {
        let at = dice.roll(bytes.len() + 1);
        let length = dice.roll(16.min(bytes.len() - at) + 1);
        match dice.roll(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
            1 => drop(bytes.drain(at..at + length)),
            2 => {
                let copied = bytes[at..at + length].to_vec();
                let to = dice.roll(bytes.len() + 1);
                drop(bytes.splice(to..to, copied));
            }
            3 | 4 => {
                let token = tokens[dice.roll(tokens.len())];
                drop(bytes.splice(at..at + length * dice.roll(2), token.bytes()));
            }
            5 => bytes.truncate(at.max(dice.roll(bytes.len() + 1))),
            _ => {
                let other = &others[dice.roll(others.len())];
                let from = dice.roll(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
}

/// Every file of the corpus, then `count` mutations of them.
fn run(target: &str, check: fn(&[u8]), tokens: &[&str], count: usize) {
    let corpus = corpus(target);
    for bytes in &corpus {
        check(bytes);
    }
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for _ in 0..count {
        let mut bytes = corpus[dice.roll(corpus.len())].clone();
        mutate(&mut dice, &mut bytes, &corpus, tokens);
        let result = std::panic::catch_unwind(|| check(&bytes));
        assert!(result.is_ok(), "{target} breaks on {:?}", String::from_utf8_lossy(&bytes));
    }
}

const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "0",
    "-1",
    "1e999999999",
    "0.0000000005",
    "\"\"",
    "\"NaN\"",
    "\\ud800",
    "\\u0000",
    "\u{feff}",
    " ",
    "\n",
    "\"Rows\":",
    "\"rows\":[",
    "\"data\":[",
    "\"attributes\":{",
    "\"errors\":[{}]",
    "\"Day\":\"2026-09-01\"",
    "\"AdvertiserId\":\"1\"",
    "\"id\":\"7\"",
    "[[[[[[[[",
    "99999999999999999999999999999999999999",
];

#[test]
fn report_bodies_hold_their_claims() {
    run("report", super::report, JSON, 8_000);
}

#[test]
fn lists_hold_their_claims() {
    run("list", super::list, JSON, 40_000);
}

#[test]
fn configurations_hold_their_claims() {
    let tokens = [
        "[[reports]]\n",
        "[tables.ads]\n",
        "[tables.x]\n",
        "enabled = true\n",
        "name = \"x\"\n",
        "metrics = [\"Clicks\"]\n",
        "dimensions = [\"Day\", \"AdId\"]\n",
        "grain = \"hour\"\n",
        "start_date = 2026-02-30\n",
        "output = \"gs://\"\n",
        "=",
        "\"",
        "'''",
        "\u{0}",
        "0x7fffffffffffffff",
        "-1",
        "[",
        "]",
        "{",
        "}",
        "advertisers = [1, \"2\"]\n",
        "client_secret = 's'\n",
        "timezone = \"Etc/GMT+1\"\n",
        "currency = \"EUR\"\n",
        ".",
        "#",
    ];
    run("configuration", super::configuration, &tokens, 10_000);
}

#[test]
fn credentials_files_hold_their_claims() {
    let tokens = [
        "client_id",
        "client_secret:",
        "=",
        ":",
        "\t",
        "\n",
        "\r\n",
        "\"",
        "'",
        ",",
        "{",
        "}",
        "secret",
        "\u{feff}",
        "export ",
    ];
    run("credentials_file", super::credentials_file, &tokens, 50_000);
}

#[test]
fn ledger_files_hold_their_claims() {
    let tokens = ["\"checksum\": \"", "\"format_version\": 99", "{", "}", "\n", ",", "0", "9", "\"", "2026-11-01"];
    run("ledger", super::ledger, &tokens, 20_000);
}

#[test]
fn the_corpus_is_small_enough_to_keep() {
    let mut total = 0;
    for target in ["configuration", "credentials_file", "ledger", "list", "report"] {
        for entry in std::fs::read_dir(folder(target)).expect("a corpus") {
            let entry = entry.expect("a file");
            let length = entry.metadata().expect("a size").len();
            assert!(length < MAX_FILE_BYTES, "{}", entry.path().display());
            total += length;
        }
    }
    assert!(total < MAX_CORPUS_BYTES, "{total}");
}
