//! Rules for one Rust file: sizes, names, `mod.rs`, docs, the determinism fence.

use super::Finding;
use super::source::{Source, Token, is_identifier, matching};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

const BANNED_FILES: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc"];
const BANNED_ENDINGS: &[&str] = &["Manager", "Impl"];

/// `mod.rs` files that may hold code, and why.
const MOD_RS_WITH_CODE: &[&str] = &[
    // The one match over every API.
    "src/server/handlers/mod.rs",
];

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    sizes(source, &mut findings);
    functions(source, &mut findings);
    names(source, &mut findings);
    if is_product(source) {
        module_docs(source, &mut findings);
        mod_rs(source, &mut findings);
        fence(source, &mut findings);
    }
    reactor_name(source, &mut findings);
    sides(source, &mut findings);
    findings
}

fn is_product(source: &Source) -> bool {
    source.path.starts_with("src/") && !source.is_test_file()
}

fn report(source: &Source, line: usize, text: String, findings: &mut Vec<Finding>) {
    findings.push(Finding {
        path: source.path.clone(),
        line,
        text,
    });
}

fn sizes(source: &Source, findings: &mut Vec<Finding>) {
    let count = source.raw.lines().count();
    if count > FILE_LINES_MAX {
        let text = format!("{count} lines, {FILE_LINES_MAX} are allowed; split the file by theme");
        report(source, FILE_LINES_MAX + 1, text, findings);
    }
    for (index, line) in source.raw.lines().enumerate() {
        let columns = line.chars().count();
        // A link cannot be wrapped.
        if columns > COLUMNS_MAX && !line.contains("https://") {
            let text = format!("{columns} columns, {COLUMNS_MAX} are allowed; wrap the line");
            report(source, index + 1, text, findings);
        }
    }
}

fn functions(source: &Source, findings: &mut Vec<Finding>) {
    let tokens = source.tokens();
    for (index, pair) in tokens.windows(2).enumerate() {
        if pair[0].text != "fn" || !is_identifier(pair[1].text) {
            continue;
        }
        let Some(open) = body(&tokens, index) else {
            continue;
        };
        let first = source.line(pair[0].position);
        let last = source.line(tokens[matching(&tokens, open)].position);
        let count = last - first + 1;
        if count > FUNCTION_LINES_MAX {
            let name = pair[1].text;
            let text = format!(
                "`{name}` has {count} lines, {FUNCTION_LINES_MAX} are allowed; give its steps names"
            );
            report(source, first, text, findings);
        }
    }
}

/// The index of the `{` of the function at `index`; `None` for a declaration.
fn body(tokens: &[Token<'_>], index: usize) -> Option<usize> {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(index) {
        match token.text {
            "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "{" if depth == 0 => return Some(index),
            ";" if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn names(source: &Source, findings: &mut Vec<Finding>) {
    for part in source.path.split('/') {
        if BANNED_FILES.contains(&part.trim_end_matches(".rs")) {
            let text = format!("`{part}` says nothing; name the file after what is in it");
            report(source, 1, text, findings);
        }
    }
    for pair in source.tokens().windows(2) {
        let name = pair[1].text;
        let defines = matches!(
            pair[0].text,
            "struct" | "enum" | "trait" | "type" | "mod" | "union"
        );
        if !defines || !is_identifier(name) {
            continue;
        }
        let ending = BANNED_ENDINGS.iter().any(|ending| name.ends_with(ending));
        if ending || BANNED_FILES.contains(&name) {
            let text = format!("`{name}` says nothing; name it after what it owns or does");
            report(source, source.line(pair[1].position), text, findings);
        }
    }
}

fn module_docs(source: &Source, findings: &mut Vec<Finding>) {
    let mut lines = source
        .raw
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let first = lines.find(|line| !line.starts_with("#!["));
    if !first.is_some_and(|line| line.starts_with("//!")) {
        let text = "no `//!` at the top; say in one line what is in the file".to_owned();
        report(source, 1, text, findings);
    }
}

/// `mod.rs` and `lib.rs` hold docs, `mod` and `use`.
fn mod_rs(source: &Source, findings: &mut Vec<Finding>) {
    let is_map = source.path.ends_with("/mod.rs") || source.path == "src/lib.rs";
    if !is_map || MOD_RS_WITH_CODE.contains(&source.path.as_str()) {
        return;
    }
    let tokens = source.tokens();
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text);
    let mut index = 0;
    while index < tokens.len() {
        if text(index) == "#" {
            let open = if text(index + 1) == "!" {
                index + 2
            } else {
                index + 1
            };
            index = matching(&tokens, open) + 1;
            continue;
        }
        let item = index;
        if text(index) == "pub" {
            index += 1;
            if text(index) == "(" {
                index = matching(&tokens, index) + 1;
            }
        }
        let declares = text(index) == "use" || (text(index) == "mod" && text(index + 2) == ";");
        if !declares {
            let line = source.line(tokens[item].position);
            let advice =
                "only docs, `mod` and `use` belong here; move the code to a file of its own";
            report(source, line, advice.to_owned(), findings);
            return;
        }
        while index < tokens.len() && text(index) != ";" {
            index += 1;
        }
        index += 1;
    }
}

/// What takes the simulator's control away, anywhere but in `io/`, `cli/` and `main.rs`.
fn fence(source: &Source, findings: &mut Vec<Finding>) {
    let outside = ["src/io/", "src/cli/", "src/main.rs"];
    if outside.iter().any(|prefix| source.path.starts_with(prefix)) {
        return;
    }
    for path in source.paths() {
        if source.is_test(path.position) {
            continue;
        }
        let advice = if path.starts_with(&["std", "thread"]) {
            "threads belong to io/; use its tasks and timers"
        } else if path.starts_with(&["std", "fs"]) {
            "files belong to io/; use its Disk"
        } else if path.ends_with(&["Instant", "now"]) || path.ends_with(&["SystemTime", "now"]) {
            "time comes in as an argument, or from io/'s Clock"
        } else if is_std_hash(&path.segments) && !source.path.starts_with("src/types/") {
            "its order is random; use BTreeMap or BTreeSet, or a hasher without a seed"
        } else {
            continue;
        };
        let text = format!("`{}`: {advice}", path.segments.join("::"));
        report(source, source.line(path.position), text, findings);
    }
    for pair in source.tokens().windows(2) {
        let advice = match (pair[0].text, pair[1].text) {
            ("thread_local", "!") => "the simulator runs all shards on one thread; pass a handle",
            ("select", "!") => "it drops the future that loses; disk work must be waited for",
            _ => continue,
        };
        if !source.is_test(pair[0].position) {
            let text = format!("`{}!`: {advice}", pair[0].text);
            report(source, source.line(pair[0].position), text, findings);
        }
    }
}

fn is_std_hash(segments: &[&str]) -> bool {
    segments.starts_with(&["std", "collections"])
        && segments
            .iter()
            .any(|segment| matches!(*segment, "HashMap" | "HashSet"))
}

/// `io/uring` is the only one who names glommio.
fn reactor_name(source: &Source, findings: &mut Vec<Finding>) {
    if source.path.starts_with("src/io/uring") {
        return;
    }
    if let Some(token) = source.tokens().iter().find(|token| token.text == "glommio") {
        let text = "only src/io/uring names glommio; use crate::io".to_owned();
        report(source, source.line(token.position), text, findings);
    }
}

/// Nobody outside `io/` asks which side it runs on; a program and a test choose one.
fn sides(source: &Source, findings: &mut Vec<Finding>) {
    let may_choose = ["src/io/", "src/sim/", "src/cli/", "src/main.rs"];
    let exempt = may_choose
        .iter()
        .any(|prefix| source.path.starts_with(prefix));
    if exempt || !source.path.starts_with("src/") {
        return;
    }
    for path in source.paths() {
        let named = ["uring", "sim"]
            .into_iter()
            .find(|side| path.starts_with(&["crate", "io", side]));
        if let Some(side) = named
            && !source.is_test(path.position)
        {
            let text = format!("`io::{side}` is one side of io/; use what both sides offer");
            report(source, source.line(path.position), text, findings);
        }
    }
}
