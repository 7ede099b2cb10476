//! A strict reader of Prometheus's text format 0.0.4: refuses what Prometheus or `promtool` would.

use std::collections::{BTreeMap, BTreeSet};

/// Labels of a sample, by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// One scrape.
#[derive(Debug, Default)]
pub(crate) struct Exposition {
    /// Type of each family.
    types: BTreeMap<String, String>,
    samples: Vec<(String, Labels, f64)>,
}

impl Exposition {
    /// Parses and checks a text.
    pub(crate) fn parse(text: &str) -> Exposition {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut parsed = Exposition::default();
        let mut finished = BTreeSet::new();
        let mut current = String::new();
        let mut helped = String::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, doc) = help.split_once(' ').expect("a help text");
                assert!(!doc.is_empty(), "{name} has no help");
                helped = name.to_owned();
            } else if let Some(of_type) = line.strip_prefix("# TYPE ") {
                let (name, kind) = of_type.split_once(' ').expect("a type");
                assert_eq!(name, helped, "TYPE does not follow its HELP");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(finished.insert(name.to_owned()), "{name} comes twice");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                current = name.to_owned();
                parsed.types.insert(name.to_owned(), kind.to_owned());
            } else {
                let (name, labels, value) = sample(line);
                let family = parsed.family_of(&name);
                assert_eq!(family, current, "a sample outside of its family");
                parsed.samples.push((name, labels, value));
            }
        }
        parsed.check();
        parsed
    }

    fn family_of(&self, name: &str) -> String {
        let is_histogram = |base: &&str| self.types.get(*base).is_some_and(|t| t == "histogram");
        ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .find(is_histogram)
            .unwrap_or(name)
            .to_owned()
    }

    fn check(&self) {
        let mut seen = BTreeSet::new();
        for (name, labels, value) in &self.samples {
            assert!(is_name(name), "{name}");
            assert!(labels.keys().all(|label| is_name(label)), "{labels:?}");
            assert!(seen.insert((name, labels)), "{name} {labels:?} twice");
            assert!(!value.is_nan(), "{name} is no number");
        }
        let histograms = self.types.iter().filter(|(_, kind)| *kind == "histogram");
        for (family, _) in histograms {
            self.check_histogram(family);
        }
    }

    fn check_histogram(&self, family: &str) {
        let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
        for (_, labels, value) in self.of(&format!("{family}_bucket")) {
            let mut labels = labels.clone();
            let le = labels.remove("le").expect("a bucket has a bound");
            let bound = match le.as_str() {
                "+Inf" => f64::INFINITY,
                le => le.parse().expect("a bound"),
            };
            buckets.entry(labels).or_default().push((bound, *value));
        }
        for (labels, buckets) in buckets {
            let ascends = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
            assert!(buckets.windows(2).all(ascends), "{family} {labels:?}");
            let (last, count) = buckets[buckets.len() - 1];
            assert!(last.is_infinite(), "{family} has no +Inf");
            assert_eq!(self.exact(&format!("{family}_count"), &labels), Some(count));
            assert!(self.exact(&format!("{family}_sum"), &labels).is_some());
        }
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &(String, Labels, f64)> {
        self.samples.iter().filter(move |(of, ..)| of == name)
    }

    fn exact(&self, name: &str, labels: &Labels) -> Option<f64> {
        let found = self.of(name).find(|(_, of, _)| of == labels);
        found.map(|(.., value)| *value)
    }

    /// The sum of all samples of a name whose labels include these.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |of: &Labels| {
            labels
                .iter()
                .all(|(l, v)| of.get(*l).is_some_and(|o| o == v))
        };
        self.of(name)
            .filter(|(_, of, _)| has(of))
            .map(|(.., value)| value)
            .sum()
    }

    /// Values that a label takes in the samples of a name.
    pub(crate) fn values_of(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let samples = self.of(name);
        samples
            .filter_map(|(_, labels, _)| labels.get(label).map(String::as_str))
            .collect()
    }
}

fn is_name(name: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(rest)
}

/// `name{label="value",...} number`.
fn sample(line: &str) -> (String, Labels, f64) {
    let name_end = line.find(['{', ' ']).expect("a name and more");
    let (name, mut rest) = line.split_at(name_end);
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect("a label's value in quotes");
            let (value, after) = quoted(after);
            let again = labels.insert(label.to_owned(), value);
            assert_eq!(again, None, "label {label} twice: {line}");
            match after.split_at(1) {
                (",", after) => rest = after,
                ("}", after) => {
                    rest = after;
                    break;
                }
                _ => panic!("after a label: {line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').expect("a space before the value");
    let value = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line}"));
    (name.to_owned(), labels, value)
}

/// The text up to the closing quote, unescaped, and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next().expect("something is escaped").1 {
                'n' => value.push('\n'),
                c @ ('\\' | '"') => value.push(c),
                c => panic!("\\{c} is no escape"),
            },
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}");
}
