//! Enough of Rust's syntax to hold rules: comments and literals blanked, tokens, paths, and which
//! lines are test code. No full parser: the rules need none.

/// One file.
pub(super) struct Source {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    pub(super) raw: String,
    /// `raw` with comments, strings and characters blanked, byte for byte at the same place.
    pub(super) code: String,
    /// By line, from 0: whether it is only compiled for tests.
    is_test: Vec<bool>,
}

/// An identifier, `::`, or a single other character.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Byte in the file.
    pub(super) position: usize,
}

/// A path as it is resolved: `use a::{b, c::d}` holds `a::b` and `a::c::d`.
#[derive(Debug)]
pub(super) struct CodePath<'a> {
    pub(super) segments: Vec<&'a str>,
    /// Byte in the file where its last segment starts.
    pub(super) position: usize,
}

impl CodePath<'_> {
    pub(super) fn starts_with(&self, prefix: &[&str]) -> bool {
        self.segments.starts_with(prefix)
    }

    pub(super) fn ends_with(&self, suffix: &[&str]) -> bool {
        self.segments.ends_with(suffix)
    }
}

impl Source {
    pub(super) fn new(path: &str, raw: &str) -> Source {
        let code = blank(raw);
        let mut source = Source {
            path: path.to_owned(),
            raw: raw.to_owned(),
            is_test: vec![is_test_file(path); raw.lines().count() + 1],
            code,
        };
        source.mark_test_items();
        source
    }

    /// From 1.
    pub(super) fn line(&self, position: usize) -> usize {
        self.code[..position].matches('\n').count() + 1
    }

    pub(super) fn is_test(&self, position: usize) -> bool {
        self.is_test[self.line(position) - 1]
    }

    pub(super) fn is_test_file(&self) -> bool {
        is_test_file(&self.path)
    }

    pub(super) fn tokens(&self) -> Vec<Token<'_>> {
        tokens(&self.code)
    }

    /// Every path of two segments or more, `use` trees expanded.
    pub(super) fn paths(&self) -> Vec<CodePath<'_>> {
        let tokens = self.tokens();
        let mut paths = Vec::new();
        let mut index = 0;
        while index < tokens.len() {
            let start = index;
            if is_identifier(tokens[index].text) {
                let mut prefix = Vec::new();
                index = expand(&tokens, index, &mut prefix, &mut paths);
            }
            index = index.max(start + 1);
        }
        paths.retain(|path| path.segments.len() > 1);
        paths
    }

    /// Marks the items behind `#[cfg(test)]`.
    fn mark_test_items(&mut self) {
        let mut ranges = Vec::new();
        let tokens = tokens(&self.code);
        for (index, window) in tokens.windows(7).enumerate() {
            let text: Vec<&str> = window.iter().map(|token| token.text).collect();
            if text == ["#", "[", "cfg", "(", "test", ")", "]"] {
                let end = item_end(&tokens, index + 7);
                ranges.push((self.line(window[0].position), self.line(end)));
            }
        }
        for (first, last) in ranges {
            self.is_test[first - 1..last].fill(true);
        }
    }
}

fn is_test_file(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "tests" | "tests.rs"))
}

/// The position of the `;` or `}` that ends the item at `index`.
fn item_end(tokens: &[Token<'_>], index: usize) -> usize {
    for (index, token) in tokens.iter().enumerate().skip(index) {
        match token.text {
            ";" => return token.position,
            "{" => return tokens[matching(tokens, index)].position,
            _ => {}
        }
    }
    tokens.last().map_or(0, |token| token.position)
}

/// The index of the bracket that closes the one at `open`, or of the last token.
pub(super) fn matching(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.len() - 1
}

pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Expands the path or `use` tree at `index`; the result is the index behind it.
fn expand<'a>(
    tokens: &[Token<'a>],
    mut index: usize,
    prefix: &mut Vec<&'a str>,
    paths: &mut Vec<CodePath<'a>>,
) -> usize {
    let depth = prefix.len();
    let mut position = 0;
    let text = |index: usize| tokens.get(index).map_or("", |token| token.text);
    while is_identifier(text(index)) || text(index) == "*" {
        prefix.push(text(index));
        position = tokens[index].position;
        index += 1;
        if text(index) != "::" {
            break;
        }
        index += 1;
    }
    if index > 0 && text(index - 1) == "::" && text(index) == "{" {
        let end = matching(tokens, index);
        index += 1;
        while index < end {
            let next = expand(tokens, index, prefix, paths);
            index = next.max(index + 1);
        }
        index = end + 1;
    } else if prefix.len() > depth {
        paths.push(CodePath {
            segments: prefix.clone(),
            position,
        });
    }
    prefix.truncate(depth);
    index
}

fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let position = code.len() - rest.len();
        let size = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        let (text, behind) = rest.split_at(size);
        if !first.is_whitespace() {
            tokens.push(Token { text, position });
        }
        rest = behind;
    }
    tokens
}

/// Blanks comments and literals.
fn blank(raw: &str) -> String {
    let mut code = String::with_capacity(raw.len());
    let mut rest = raw;
    while !rest.is_empty() {
        let after_identifier = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let size = literal_size(rest, after_identifier);
        if size == 0 {
            let first = rest.chars().next().map_or(0, char::len_utf8);
            code.push_str(&rest[..first]);
            rest = &rest[first..];
        } else {
            let blanks = rest[..size]
                .bytes()
                .map(|b| if b == b'\n' { '\n' } else { ' ' });
            code.extend(blanks);
            rest = &rest[size..];
        }
    }
    code
}

/// Bytes of the comment or literal that `rest` starts with; 0 if it starts with neither.
fn literal_size(rest: &str, after_identifier: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_size(rest);
    }
    if rest.starts_with('\'') {
        return character_size(rest);
    }
    if rest.starts_with('"') {
        return string_size(rest);
    }
    if after_identifier {
        return 0;
    }
    for prefix in ["br", "cr", "r"] {
        if let Some(behind) = rest.strip_prefix(prefix) {
            let hashes = behind.bytes().take_while(|&b| b == b'#').count();
            if behind[hashes..].starts_with('"') {
                let close = format!("\"{}", "#".repeat(hashes));
                let start = prefix.len() + hashes + 1;
                return rest[start..]
                    .find(&close)
                    .map_or(rest.len(), |at| start + at + close.len());
            }
        }
    }
    0
}

fn block_comment_size(rest: &str) -> usize {
    let mut depth = 0;
    let mut position = 0;
    while position < rest.len() {
        if rest[position..].starts_with("/*") {
            depth += 1;
            position += 2;
        } else if rest[position..].starts_with("*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += rest[position..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// 0 for a lifetime.
fn character_size(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        // The escaped character may itself be a quote.
        Some((_, '\\')) => rest[3..].find('\'').map_or(rest.len(), |at| 3 + at + 1),
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

fn string_size(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}
