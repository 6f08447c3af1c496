//! Numbers for Prometheus, in its text exposition format, written whole to a file that the textfile collector of
//! `node_exporter` reads.
//!
//! It knows the format and nothing of what is measured. All metrics are gauges: each file describes one run, which ends before
//! anybody reads it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// One metric: its name, with the base unit, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// `criteo_source_…`.
    pub name: &'static str,
    /// One line.
    pub help: &'static str,
}

/// Samples of several metrics, in the order in which the metrics came first.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    common: Vec<(&'static str, String)>,
    families: Vec<(Metric, Vec<Sample>)>,
}

#[derive(Clone, Debug)]
struct Sample {
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Metrics {
    /// None yet; every sample will have these labels.
    pub fn new(common: &[(&'static str, &str)]) -> Self {
        Self { common: owned(common), families: Vec::new() }
    }

    /// Adds a sample.
    pub fn add(&mut self, metric: Metric, labels: &[(&'static str, &str)], value: f64) {
        let sample = Sample { labels: owned(labels), value };
        match self.families.iter_mut().find(|(known, _)| known.name == metric.name) {
            Some((_, samples)) => samples.push(sample),
            None => self.families.push((metric, vec![sample])),
        }
    }

    /// Adds a count.
    pub fn count(&mut self, metric: Metric, labels: &[(&'static str, &str)], count: u64) {
        // A float has all integers up to nine quadrillion, and Prometheus has nothing but floats.
        #[expect(clippy::cast_precision_loss, reason = "the format has only floats")]
        self.add(metric, labels, count as f64);
    }

    /// The text: of each metric what it is, its type, its samples.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (Metric { name, help }, samples) in &self.families {
            let help = help.replace('\\', r"\\").replace('\n', r"\n");
            writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge").expect("a string takes any text");
            for sample in samples {
                let labels = self.common.iter().chain(&sample.labels);
                let labels: Vec<String> =
                    labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
                let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                writeln!(text, "{name}{labels} {}", sample.value).expect("a string takes any text");
            }
        }
        text
    }

    /// Writes the text: whoever reads the file reads the old one or the new one. The new one is written beside it under a name
    /// that the collector ignores.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let name = path.file_name().ok_or_else(|| std::io::Error::other("a file name is missing"))?;
        let mut beside = std::ffi::OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(beside);
        let written = std::fs::File::create(&beside)
            .and_then(|mut file| file.write_all(self.text().as_bytes()))
            .and_then(|()| std::fs::rename(&beside, path));
        written.inspect_err(|_| drop(std::fs::remove_file(&beside)))
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// The value of a label (Prometheus' documentation, page Exposition formats).
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: Metric = Metric { name: "test_rows", help: "Rows, with a \\ in it." };
    const SECONDS: Metric = Metric { name: "test_duration_seconds", help: "Time." };

    fn metrics() -> Metrics {
        let mut metrics = Metrics::new(&[("output", "a\"b\\c\nd")]);
        metrics.count(ROWS, &[("table", "ads")], 3);
        metrics.add(SECONDS, &[], 0.25);
        metrics.count(ROWS, &[("table", "campaigns")], 1_234_567_890);
        metrics
    }

    #[test]
    fn samples_of_a_metric_stand_together_under_its_type() {
        let expected = "# HELP test_rows Rows, with a \\\\ in it.\n# TYPE test_rows gauge\n\
                        test_rows{output=\"a\\\"b\\\\c\\nd\",table=\"ads\"} 3\n\
                        test_rows{output=\"a\\\"b\\\\c\\nd\",table=\"campaigns\"} 1234567890\n\
                        # HELP test_duration_seconds Time.\n# TYPE test_duration_seconds gauge\n\
                        test_duration_seconds{output=\"a\\\"b\\\\c\\nd\"} 0.25\n";
        assert_eq!(metrics().text(), expected);
    }

    #[test]
    fn the_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("criteo.prom");
        std::fs::write(&path, "old").unwrap();
        metrics().write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), metrics().text());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(metrics().write(&folder.path().join("no/such/folder.prom")).is_err());
    }
}
