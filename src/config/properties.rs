//! The syntax of `server.properties`: that of `java.util.Properties.load`.
//!
//! - Blank lines, and lines whose first visible character is `#` or `!`, do not count.
//! - A line that ends in an odd number of backslashes continues on the next one, whose leading
//!   white space is dropped. A comment does not continue.
//! - The key ends at the first `=`, `:` or white space that no backslash precedes; white space
//!   around the separator is dropped, white space after the value is kept.
//! - `\t \n \r \f \uXXXX` are escapes; a backslash before anything else is dropped.

use std::iter::Peekable;
use std::str::Chars;

/// One `key = value`, in file order. A key may occur more than once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    pub key: String,
    pub value: String,
    /// Of the key, from 1.
    pub line: usize,
}

/// A line that does not follow the syntax.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct SyntaxError {
    /// From 1.
    pub line: usize,
    pub reason: &'static str,
}

/// Parses a whole file.
pub fn parse(text: &str) -> Result<Vec<Property>, SyntaxError> {
    let mut properties = Vec::new();
    let mut lines = text.split('\n').enumerate();
    while let Some((index, line)) = lines.next() {
        let line = without_carriage_return(line).trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while continues(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(without_carriage_return(next).trim_start_matches(is_blank));
        }
        let line = index + 1;
        let (key, value) = split(&logical).map_err(|reason| SyntaxError { line, reason })?;
        properties.push(Property { key, value, line });
    }
    Ok(properties)
}

fn without_carriage_return(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

fn continues(line: &str) -> bool {
    let backslashes = line.bytes().rev().take_while(|&b| b == b'\\').count();
    backslashes % 2 == 1
}

fn split(line: &str) -> Result<(String, String), &'static str> {
    let mut chars = line.chars().peekable();
    let mut key = String::new();
    while let Some(&c) = chars.peek() {
        if is_blank(c) || c == '=' || c == ':' {
            break;
        }
        chars.next();
        key.push(if c == '\\' { escape(&mut chars)? } else { c });
    }
    skip_blank(&mut chars);
    if chars.next_if(|&c| c == '=' || c == ':').is_some() {
        skip_blank(&mut chars);
    }
    let mut value = String::new();
    while let Some(c) = chars.next() {
        value.push(if c == '\\' { escape(&mut chars)? } else { c });
    }
    Ok((key, value))
}

fn skip_blank(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|&c| is_blank(c)).is_some() {}
}

/// The character that stands behind a backslash. A continuation has been joined already, so there
/// always is one.
fn escape(chars: &mut Peekable<Chars<'_>>) -> Result<char, &'static str> {
    Ok(match chars.next() {
        Some('t') => '\t',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('f') => '\x0c',
        Some('u') => unicode(chars)?,
        Some(c) => c,
        None => return Err("a backslash at the end of the file escapes nothing"),
    })
}

/// `\uXXXX`, or two of them for a character beyond 16 bits.
fn unicode(chars: &mut Peekable<Chars<'_>>) -> Result<char, &'static str> {
    const MALFORMED: &str = "`\\u` needs four hexadecimal digits of a valid character";
    let first = hexadecimal(chars).ok_or(MALFORMED)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first).ok_or(MALFORMED);
    }
    if chars.next() != Some('\\') || chars.next() != Some('u') {
        return Err(MALFORMED);
    }
    let second = hexadecimal(chars).ok_or(MALFORMED)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(MALFORMED);
    }
    char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(MALFORMED)
}

fn hexadecimal(chars: &mut Peekable<Chars<'_>>) -> Option<u32> {
    (0..4).try_fold(0, |sum, _| {
        let digit = chars.next()?.to_digit(16)?;
        Some(sum * 16 + digit)
    })
}
