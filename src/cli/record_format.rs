//! kcat's format strings: how a record is printed.

use std::io::{Result as IoResult, Write};

use anyhow::{Result, bail};

use super::escapes::unescape;
use crate::batch::Record;
use crate::types::PartitionIndex;

/// A format, ready to be printed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordFormat {
    pieces: Vec<Piece>,
    /// Printed for a null key or value.
    null: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Key,
    KeySize,
    Value,
    ValueSize,
    /// The size of the value as a big-endian `int32`, -1 for null.
    ValueSizeBinary,
    Headers,
}

impl RecordFormat {
    /// Reads a format: `%t` topic, `%p` partition, `%o` offset, `%T` timestamp in ms, `%k` key,
    /// `%K` its size (-1: null), `%s` value, `%S` its size (-1: null), `%R` the same as four bytes,
    /// `%h` headers, `%%` a percent sign, and the escapes of [`unescape`].
    pub(super) fn parse(format: &str, null: &'static str) -> Result<RecordFormat> {
        let mut pieces = Vec::new();
        let mut parts = format.split('%');
        let mut text = unescape(parts.next().unwrap_or_default())?;
        while let Some(part) = parts.next() {
            let Some(token) = part.chars().next() else {
                // `%%`: the part after this one is text. At the end it is a lone `%`.
                let Some(rest) = parts.next() else {
                    bail!("`{format}` ends with a lone %; a percent sign is %%");
                };
                text.push(b'%');
                text.extend(unescape(rest)?);
                continue;
            };
            let piece = match token {
                't' => Piece::Topic,
                'p' => Piece::Partition,
                'o' => Piece::Offset,
                'T' => Piece::Timestamp,
                'k' => Piece::Key,
                'K' => Piece::KeySize,
                's' => Piece::Value,
                'S' => Piece::ValueSize,
                'R' => Piece::ValueSizeBinary,
                'h' => Piece::Headers,
                other => {
                    bail!("%{other} in `{format}` is not one of %t %p %o %T %k %K %s %S %R %h")
                }
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(piece);
            text = unescape(&part[token.len_utf8()..])?;
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Ok(RecordFormat { pieces, null })
    }

    /// The value and then `delimiter`, with the key and its delimiter before it if there is one.
    pub(super) fn plain(
        key_delimiter: Option<Vec<u8>>,
        delimiter: Vec<u8>,
        null: &'static str,
    ) -> RecordFormat {
        let mut pieces = Vec::new();
        if let Some(key_delimiter) = key_delimiter {
            pieces.push(Piece::Key);
            pieces.push(Piece::Text(key_delimiter));
        }
        pieces.push(Piece::Value);
        pieces.push(Piece::Text(delimiter));
        RecordFormat { pieces, null }
    }

    pub(super) fn print(
        &self,
        out: &mut impl Write,
        topic: &str,
        partition: PartitionIndex,
        record: &Record<'_>,
    ) -> IoResult<()> {
        let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i32);
        let null = self.null.as_bytes();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.write_all(text)?,
                Piece::Topic => out.write_all(topic.as_bytes())?,
                Piece::Partition => write!(out, "{partition}")?,
                Piece::Offset => write!(out, "{}", record.offset)?,
                Piece::Timestamp => write!(out, "{}", record.timestamp)?,
                Piece::Key => out.write_all(record.key.unwrap_or(null))?,
                Piece::KeySize => write!(out, "{}", size(record.key))?,
                Piece::Value => out.write_all(record.value.unwrap_or(null))?,
                Piece::ValueSize => write!(out, "{}", size(record.value))?,
                Piece::ValueSizeBinary => out.write_all(&size(record.value).to_be_bytes())?,
                Piece::Headers => print_headers(out, record)?,
            }
        }
        Ok(())
    }
}

/// `name=value,name=value`; a null value is `NULL`.
fn print_headers(out: &mut impl Write, record: &Record<'_>) -> IoResult<()> {
    for (index, header) in record.headers.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(header.key)?;
        out.write_all(b"=")?;
        out.write_all(header.value.unwrap_or(b"NULL"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, BatchOptions, BatchView, Header, RecordIter};

    fn printed(format: &RecordFormat, key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let mut builder = BatchBuilder::new(BatchOptions::default(), 0);
        let header = |key: &'static [u8], value| Header { key, value };
        let headers = [header(b"a", Some(&b"1"[..])), header(b"b", None)];
        builder.append(1_700_000_000_123, key, value, &headers);
        let batch = builder.close();
        let batch = BatchView::parse(&batch).expect("a batch");
        let record = RecordIter::new(batch.header(), batch.payload()).next();
        let record = record.expect("a record").expect("a whole record");
        let mut out = Vec::new();
        format
            .print(&mut out, "logs", 3, &record)
            .expect("memory takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn formats_print_what_kcat_prints() {
        let (key, value) = (Some(&b"k1"[..]), Some(&b"hello"[..]));
        let cases = [
            (
                r"%t [%p] at %o: %k/%K %s/%S\n",
                key,
                value,
                "logs [3] at 0: k1/2 hello/5\n",
            ),
            ("%T %h", key, value, "1700000000123 a=1,b=NULL"),
            ("%k|%K|%s|%S", None, None, "|-1||-1"),
            ("100%% %s%%", key, value, "100% hello%"),
            ("%%s", key, value, "%s"),
            ("%R", key, value, "\0\0\0\u{5}"),
        ];
        for (format, key, value, expected) in cases {
            let parsed = RecordFormat::parse(format, "").expect(format);
            assert_eq!(printed(&parsed, key, value), expected, "{format}");
        }
        let plain = RecordFormat::plain(Some(b": ".to_vec()), b"\n".to_vec(), "NULL");
        assert_eq!(printed(&plain, None, value), "NULL: hello\n");
    }

    #[test]
    fn a_wrong_format_is_refused() {
        for wrong in ["%q", "100%", r"\w", "%s%"] {
            assert!(RecordFormat::parse(wrong, "").is_err(), "{wrong}");
        }
    }
}
