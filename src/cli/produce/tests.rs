use super::*;

fn layout(key_delimiter: Option<&str>, empty_is_null: bool) -> Layout {
    Layout {
        partition: None,
        delimiter: b"\n".to_vec(),
        key_delimiter: key_delimiter.map(|delimiter| delimiter.as_bytes().to_vec()),
        key: None,
        headers: Vec::new(),
        empty_is_null,
    }
}

#[test]
fn input_is_cut_at_delimiters_wherever_it_was_read() {
    let input = b"one\r\ntwo\r\r\n\r\nfour\r";
    for delimiter in ["\n", "\r\n", "o"] {
        let text = String::from_utf8(input.to_vec()).expect("text");
        let expected: Vec<&str> = text.split(delimiter).collect();
        for size in 1..=input.len() {
            let mut splitter = Splitter::new(delimiter.as_bytes().to_vec());
            let mut pieces = Vec::new();
            for chunk in input.chunks(size) {
                splitter.push(chunk);
                while let Some(piece) = splitter.next() {
                    pieces.push(String::from_utf8(piece.to_vec()).expect("text"));
                }
            }
            pieces.push(String::from_utf8(splitter.rest().to_vec()).expect("text"));
            assert_eq!(pieces, expected, "{delimiter:?} in chunks of {size}");
        }
    }
}

#[test]
fn keys_and_nulls_are_kcats() {
    type Parts = (Option<&'static [u8]>, Option<&'static [u8]>);
    let cases: [(&'static [u8], Option<&str>, bool, Parts); 7] = [
        (b"k:v:w", Some(":"), false, (Some(b"k"), Some(b"v:w"))),
        (b"k::v", Some("::"), false, (Some(b"k"), Some(b"v"))),
        (b"value", Some(":"), false, (None, Some(b"value"))),
        (b"k:", Some(":"), false, (Some(b"k"), Some(b""))),
        (b"k:", Some(":"), true, (Some(b"k"), None)),
        (b":v", Some(":"), true, (None, Some(b"v"))),
        (b"", None, true, (None, None)),
    ];
    for (piece, key_delimiter, empty_is_null, expected) in cases {
        let layout = layout(key_delimiter, empty_is_null);
        let record = layout.record(piece, &[]);
        assert_eq!(
            (record.key, record.value),
            expected,
            "{piece:?} {key_delimiter:?}"
        );
    }
}
