//! Every rule goes red on a breach, and only there.

use super::source::Source;
use super::{Finding, documents, floors, rules};

fn findings(path: &str, text: &str) -> Vec<Finding> {
    let source = Source::new(path, text);
    let mut findings = rules::check(&source);
    findings.extend(floors::check(&source));
    findings
}

/// `text` breaks one rule, at `line`, and the message contains `says`.
fn red(path: &str, text: &str, line: usize, says: &str) {
    let found = findings(path, text);
    assert_eq!(found.len(), 1, "{path}: {text}\n{found:?}");
    assert_eq!(found[0].line, line, "{path}: {text}\n{found:?}");
    assert!(found[0].to_string().contains(says), "{found:?}");
}

fn green(path: &str, text: &str) {
    assert_eq!(findings(path, text), [], "{path}: {text}");
}

#[test]
fn imports_lead_down() {
    let red_imports = [
        ("src/log/a.rs", "//! x\nuse crate::shard::A;\n"),
        ("src/log/a.rs", "//! x\nuse crate::client::A;\n"),
        (
            "src/log/a.rs",
            "//! x\nuse crate::{types::B, partition::A};\n",
        ),
        ("src/log/a.rs", "//! x\nfn f(a: crate::server::A) {}\n"),
        (
            "src/log/a/b.rs",
            "//! x\nuse super::super::super::cli::run;\n",
        ),
        ("src/log/mod.rs", "//! x\nuse super::cli::run;\n"),
        (
            "src/types/a.rs",
            "//! x\n#[cfg(test)]\nmod tests { use crate::log::A; }\n",
        ),
    ];
    for (path, text) in red_imports {
        let line = if text.contains("cfg(test)") { 3 } else { 2 };
        red(path, text, line, "lower floors only");
    }
    green(
        "src/log/a.rs",
        "//! x\nuse crate::{io::{Disk, File}, types::Offset, log::b::C};\n",
    );
    green(
        "src/log/a.rs",
        "//! x\nuse super::cli;\nuse super::super::batch::View;\n",
    );
    green(
        "src/log/a.rs",
        "//! crate::server\n// crate::server\nconst A: &str = \"crate::server\";\n",
    );
    green(
        "src/batch/a.rs",
        "//! x\n#[cfg(test)]\nmod tests { use crate::io::sim::Simulation; }\n",
    );
    green("src/batch/a/tests.rs", "use crate::io::sim::Simulation;\n");
    green("src/cli/a.rs", "//! x\nuse crate::server::Server;\n");
    green("src/main.rs", "//! x\nuse crate::cli::run;\n");
}

#[test]
fn the_map_is_complete() {
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let map = "//! | 0 | [`types`] | x |\n//! | 1 | [`io`] | x |\n";
    let wrong = floors::check_map(map, &names(&["io", "types"]));
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0]
            .to_string()
            .starts_with("src/lib.rs:2: the map puts `io` on 1")
    );
    let missing = floors::check_map(map, &names(&["io", "log", "novel", "types"]));
    assert!(
        missing[1]
            .to_string()
            .contains("src/log is not in the code map")
    );
    assert!(missing[2].to_string().contains("src/novel has no floor"));
    assert_eq!(
        floors::check_map("//! | 2 | [`io`] | x |\n", &names(&["io"])),
        []
    );
}

#[test]
fn sizes_are_limited() {
    let long_file = format!("//! x\n{}", "\n".repeat(800));
    red("src/log/a.rs", &long_file, 801, "split the file");
    let wide = format!("//! {}\n", "x".repeat(97));
    red("src/log/a.rs", &wide, 1, "wrap the line");
    green("src/log/a.rs", &format!("//! {}\n", "x".repeat(96)));
    green("src/log/a.rs", &format!("//! https://{}\n", "x".repeat(97)));

    let function =
        |lines: usize| format!("//! x\nfn f(a: [u8; 3]) {{{}}}\n", "\n".repeat(lines - 1));
    red("src/log/a.rs", &function(71), 2, "`f` has 71 lines");
    red("bench/src/a.rs", &function(71), 2, "`f` has 71 lines");
    green("src/log/a.rs", &function(70));
    let braces = format!(
        "fn f() {{ let a = \"{{\"; let b = '{{'; /* {{ */ }}\n{}",
        "\n".repeat(80)
    );
    green("src/log/a.rs", &format!("//! x\n{braces}"));
    green(
        "src/log/a.rs",
        &format!("//! x\ntrait T {{ fn f();{}}}\n", "\n".repeat(80)),
    );
}

#[test]
fn names_say_something() {
    red("src/log/utils.rs", "//! x\n", 1, "`utils.rs` says nothing");
    red("src/common/a.rs", "//! x\n", 1, "`common` says nothing");
    red(
        "src/log/a.rs",
        "//! x\nstruct LogManager;\n",
        2,
        "`LogManager`",
    );
    red(
        "src/log/a.rs",
        "//! x\ntrait DiskImpl {}\n",
        2,
        "`DiskImpl`",
    );
    red("src/log/a.rs", "//! x\nmod helpers;\n", 2, "`helpers`");
    green(
        "src/log/a.rs",
        "//! x\nstruct Managers;\nimpl Managers {}\n",
    );
}

#[test]
fn files_say_what_they_are() {
    red("src/log/a.rs", "fn f() {}\n", 1, "no `//!`");
    green("src/log/a.rs", "#![allow(dead_code)]\n\n//! x\n");
    green("src/log/a/tests.rs", "fn f() {}\n");
}

#[test]
fn mod_rs_is_a_map() {
    red(
        "src/log/mod.rs",
        "//! x\nmod a;\nfn f() {}\n",
        3,
        "move the code",
    );
    red("src/log/mod.rs", "//! x\nmod a { }\n", 2, "move the code");
    red(
        "src/lib.rs",
        "//! x\npub const A: u8 = 1;\n",
        2,
        "move the code",
    );
    green(
        "src/log/mod.rs",
        "//! x\n#![warn(x)]\nmod a;\n#[cfg(test)]\nmod tests;\npub(crate) mod c;\n\
         pub use a::{B, C};\npub(in crate::log) use c::*;\n",
    );
    green("src/server/handlers/mod.rs", "//! x\nfn dispatch() {}\n");
}

#[test]
fn the_fence_holds() {
    let breaches = [
        ("use std::fs::File;", "use its Disk"),
        ("use std::{fmt, fs};", "use its Disk"),
        ("fn f() { std::fs::read(\"a\"); }", "use its Disk"),
        ("use std::thread;", "tasks and timers"),
        ("fn f() { std::thread::sleep(d); }", "tasks and timers"),
        ("fn f() { Instant::now(); }", "Clock"),
        ("fn f() { std::time::SystemTime::now(); }", "Clock"),
        ("use std::collections::{BTreeMap, HashMap};", "BTreeMap"),
        ("use std::collections::HashSet;", "BTreeMap"),
        ("thread_local! { static A: u8 = 1; }", "pass a handle"),
        ("fn f() { futures::select! { } }", "waited for"),
    ];
    for (code, says) in breaches {
        let text = format!("//! x\n{code}\n");
        red("src/log/a.rs", &text, 2, says);
        red("src/batch/a.rs", &text, 2, says);
        green("src/io/uring/a.rs", &text);
        green("src/cli/a.rs", &text);
        green("src/main.rs", &text);
        green("src/log/a/tests.rs", &text);
        green("tests/it/a.rs", &text);
    }
    green(
        "src/log/a.rs",
        "//! x\nuse std::time::{Duration, Instant};\nfn f(select: A) {}\n",
    );
    green(
        "src/types/hash.rs",
        "//! x\nuse std::collections::HashMap;\n",
    );
    red(
        "src/log/a.rs",
        "//! x\nuse glommio::io::DmaFile;\n",
        2,
        "only src/io/uring",
    );
    red(
        "bench/src/a.rs",
        "use glommio::spawn_local;\n",
        1,
        "only src/io/uring",
    );
    red(
        "src/io/sim/a.rs",
        "//! x\nuse glommio::io::DmaFile;\n",
        2,
        "only src/io/uring",
    );
    red(
        "src/log/a.rs",
        "//! x\nuse crate::io::sim::Disk;\n",
        2,
        "both sides",
    );
    red(
        "src/server/a.rs",
        "//! x\nuse crate::io::{uring::Ring, Net};\n",
        2,
        "both sides",
    );
}

#[test]
fn links_lead_somewhere() {
    let exists = |path: &str| matches!(path, "README.md" | "docs/a.md");
    let good = "[a](a.md) [b](../README.md#part) [c](https://x.y/z) [d](#here) `[e](f)`\n\
                ```\n[g](h)\n```\n";
    assert_eq!(documents::check("docs/b.md", good, exists), []);
    for bad in [
        "x\n[a](b.md)",
        "x\n[a](../../README.md)",
        "x\n[a](docs/a.md \"title\")",
    ] {
        let found = documents::check("docs/b.md", bad, exists);
        assert_eq!(found.len(), 1, "{bad}");
        assert_eq!(found[0].line, 2);
    }
}

#[test]
fn nothing_is_left_unfinished() {
    for mark in [concat!("TO", "DO"), concat!("FIX", "ME")] {
        let found = documents::check_unfinished("src/log/a.rs", &format!("x\n// {mark}: later"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].line, 2);
    }
    let harmless = concat!("TO", "DO_LIST and me", "tho", "d");
    assert_eq!(documents::check_unfinished("a.md", harmless), []);
}

#[test]
fn literals_and_comments_are_blanked() {
    let text = "a r#\"b \" c\"# d 'e' '\\'' '\\u{1}' &'f b\"g\" // h\n\
                /* i /* j */ k */ l \"\\\" m\" n r#o";
    let source = Source::new("src/log/a.rs", text);
    assert_eq!(source.code.len(), text.len());
    let left: Vec<&str> = source.code.split_whitespace().collect();
    assert_eq!(left, ["a", "d", "&'f", "b", "l", "n", "r#o"]);
}
