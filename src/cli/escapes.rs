//! Backslash escapes in delimiters and formats.

use anyhow::{Result, bail};

/// Reads `\n`, `\r`, `\t`, `\0`, `\\` and `\xHH`; other characters stand for themselves.
pub(super) fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        match rest.next() {
            Some('n') => bytes.push(b'\n'),
            Some('r') => bytes.push(b'\r'),
            Some('t') => bytes.push(b'\t'),
            Some('0') => bytes.push(0),
            Some('\\') => bytes.push(b'\\'),
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                match u8::from_str_radix(&digits, 16) {
                    Ok(byte) if digits.len() == 2 => bytes.push(byte),
                    _ => bail!("`\\x{digits}` in `{text}` needs two hexadecimal digits"),
                }
            }
            Some(other) => bail!("`\\{other}` in `{text}` is no escape; a backslash is `\\\\`"),
            None => bail!("`{text}` ends with a lone backslash; a backslash is `\\\\`"),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_bytes_and_mistakes_are_named() {
        assert_eq!(unescape(r"a\tb\n\r\0\\").unwrap(), b"a\tb\n\r\0\\");
        assert_eq!(unescape(r"\x00\xfF:ü").unwrap(), b"\x00\xff:\xc3\xbc");
        for wrong in [r"\q", r"\x1", r"\xzz", "end\\"] {
            assert!(unescape(wrong).is_err(), "{wrong}");
        }
    }
}
