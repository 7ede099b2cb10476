//! The house rules that a compiler does not hold: floors, sizes, names, the determinism fence,
//! links. `docs/` and `src/lib.rs` say why they are; each message says what to do.
//!
//! `tidy/source.rs` reads Rust, `tidy/rules.rs`, `tidy/floors.rs` and `tidy/documents.rs` are the
//! rules, `tidy/snippets.rs` shows that every rule can fail.

#![allow(clippy::disallowed_methods, reason = "it reads the repository")]

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/snippets.rs"]
mod snippets;
#[path = "tidy/source.rs"]
mod source;

use std::fmt;
use std::path::{Path, PathBuf};

use source::Source;

/// One breach of a rule: where, what, and what to do.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: usize,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

#[test]
fn the_house_is_tidy() {
    let root = root();
    let mut findings = Vec::new();
    for path in files(&root, "rs") {
        let source = Source::new(&path, &read(&root, &path));
        findings.extend(rules::check(&source));
        findings.extend(floors::check(&source));
    }
    findings.extend(floors::check_map(
        &read(&root, "src/lib.rs"),
        &modules(&root),
    ));
    for path in files(&root, "md") {
        let text = read(&root, &path);
        findings.extend(documents::check(&path, &text, |target| {
            root.join(target).exists()
        }));
    }
    for extension in ["rs", "md", "toml"] {
        for path in files(&root, extension) {
            findings.extend(documents::check_unfinished(&path, &read(&root, &path)));
        }
    }
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(
        lines.is_empty(),
        "{} breaches:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(root: &Path, path: &str) -> String {
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of an extension that belong to the project, relative to the root, sorted.
fn files(root: &Path, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    directories.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                let relative = path.strip_prefix(root).unwrap();
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// The modules of the library: the directories and files directly in `src/`.
fn modules(root: &Path) -> Vec<String> {
    let mut modules = Vec::new();
    for entry in std::fs::read_dir(root.join("src")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if stem != "lib" && stem != "main" {
            modules.push(stem);
        }
    }
    modules.sort();
    modules
}
