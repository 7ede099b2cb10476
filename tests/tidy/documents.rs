//! Rules for documents: links lead somewhere, and nothing is left unfinished.

use super::Finding;

/// Relative links of a Markdown file; `exists` is asked with paths relative to the root.
pub(super) fn check(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in links(line) {
            let resolved = resolve(path, target);
            if resolved.as_deref().is_none_or(|resolved| !exists(resolved)) {
                findings.push(Finding {
                    path: path.to_owned(),
                    line: index + 1,
                    text: format!("the link to `{target}` leads nowhere; correct or remove it"),
                });
            }
        }
    }
    findings
}

/// The targets of `[text](target)` that are files; code spans are not links.
fn links(line: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for text in line.split('`').step_by(2) {
        for behind in text.split("](").skip(1) {
            let target = behind.split([')', ' ', '#']).next().unwrap_or_default();
            let elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !target.is_empty() {
                targets.push(target);
            }
        }
    }
    targets
}

/// A target relative to the root; `None` if it leads out of the repository.
fn resolve(path: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Marks of unfinished work, in any text.
pub(super) fn check_unfinished(path: &str, text: &str) -> Vec<Finding> {
    // Spelt so that this file does not break its own rule.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        if let Some(mark) = words.find(|word| marks.contains(word)) {
            findings.push(Finding {
                path: path.to_owned(),
                line: index + 1,
                text: format!("{mark}: finish it, or write it down in docs/roadmap.md"),
            });
        }
    }
    findings
}
