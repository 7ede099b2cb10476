//! Floors: a module imports only from lower ones.

use super::Finding;
use super::source::Source;

/// As in the code map of `src/lib.rs`; modules that are still to come are listed too.
pub(super) const FLOORS: &[(&str, u8)] = &[
    ("types", 0),
    ("assignor", 1),
    ("batch", 1),
    ("config", 1),
    ("metrics", 1),
    ("io", 2),
    ("log_state", 2),
    ("protocol", 2),
    ("client", 3),
    ("fetch_session", 3),
    ("http", 3),
    ("log", 3),
    ("metadata", 3),
    ("purgatory", 3),
    ("controller", 4),
    ("coordinator", 4),
    ("inspect", 4),
    ("partition", 4),
    ("quorum", 4),
    ("shard", 5),
    ("server", 6),
    ("web", 6),
    ("sim", 7),
    ("cli", 8),
];

fn floor(module: &str) -> Option<u8> {
    FLOORS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, floor)| *floor)
}

/// The module of the library that a file belongs to; `None` for `lib.rs`, `main.rs` and files
/// outside `src/`.
fn module(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    match first.strip_suffix(".rs") {
        Some("lib" | "main") => None,
        Some(file) => Some(file),
        None => Some(first),
    }
}

/// Imports of one file.
pub(super) fn check(source: &Source) -> Vec<Finding> {
    let Some(own) = module(&source.path) else {
        return Vec::new();
    };
    let Some(own_floor) = floor(own) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for path in source.paths() {
        let Some(other) = top_module(&source.path, &path.segments) else {
            continue;
        };
        let Some(other_floor) = floor(other) else {
            continue;
        };
        let for_test = source.is_test(path.position) && other == "io";
        if other == own || other_floor < own_floor || for_test {
            continue;
        }
        findings.push(Finding {
            path: source.path.clone(),
            line: source.line(path.position),
            text: format!(
                "`{own}` (floor {own_floor}) imports `{other}` (floor {other_floor}); import from \
                 lower floors only: move what both need down, or the caller up"
            ),
        });
    }
    findings
}

/// The library's module that a path leads to, through `crate` or enough of `super`.
fn top_module<'a>(file: &str, segments: &[&'a str]) -> Option<&'a str> {
    if segments[0] == "crate" {
        return segments.get(1).copied();
    }
    let supers = segments
        .iter()
        .take_while(|segment| **segment == "super")
        .count();
    let parts = file.trim_start_matches("src/").split('/');
    let depth = parts.filter(|part| *part != "mod.rs").count();
    if supers > 0 && supers >= depth {
        segments.get(supers).copied()
    } else {
        None
    }
}

/// The code map in `src/lib.rs` (rows like "| 0 | [`types`] | ...") against [`FLOORS`] and the
/// modules that exist.
pub(super) fn check_map(lib: &str, modules: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut report = |line: usize, text: String| {
        findings.push(Finding {
            path: "src/lib.rs".to_owned(),
            line,
            text,
        });
    };
    let mut mapped = Vec::new();
    for (index, line) in lib.lines().enumerate() {
        let Some(row) = line.strip_prefix("//! | ") else {
            continue;
        };
        let Some((number, rest)) = row.split_once(" | [`") else {
            continue;
        };
        let Some((name, _)) = rest.split_once("`]") else {
            continue;
        };
        mapped.push(name);
        if number.parse().ok() != floor(name) {
            let expected = floor(name).map_or("no floor".to_owned(), |floor| floor.to_string());
            report(
                index + 1,
                format!("the map puts `{name}` on {number}, tests/tidy/floors.rs on {expected}"),
            );
        }
    }
    for module in modules {
        if floor(module).is_none() {
            report(
                1,
                format!("src/{module} has no floor; give it one in tests/tidy/floors.rs"),
            );
        } else if !mapped.contains(&module.as_str()) {
            report(
                1,
                format!("src/{module} is not in the code map; add its row"),
            );
        }
    }
    findings
}
