//! Zigzag variable-length integers of the record format (those of protocol buffers).
//!
//! Readers take the bytes at hand and give the value with its size. Padded encodings are accepted
//! as Kafka accepts them; bits beyond the type are not.

/// Bytes of the longest `i32`.
pub(super) const VARINT_SIZE_MAX: usize = 5;

/// Bytes of the longest `i64`.
pub(super) const VARLONG_SIZE_MAX: usize = 10;

/// The `i32` at the start of `bytes` and its size; `None` if it does not end there or is over-long.
#[inline(always)]
pub(super) fn read_varint(bytes: &[u8]) -> Option<(i32, usize)> {
    match *bytes {
        [only, ..] if only < 0x80 => Some((unzigzag32(u32::from(only)), 1)),
        [low, high, ..] if high < 0x80 => {
            let value = u32::from(low & 0x7f) | u32::from(high) << 7;
            Some((unzigzag32(value), 2))
        }
        _ => read_long_varint(bytes),
    }
}

/// The `i64` at the start of `bytes` and its size; `None` if it does not end there or is over-long.
#[inline(always)]
pub(super) fn read_varlong(bytes: &[u8]) -> Option<(i64, usize)> {
    match *bytes {
        [only, ..] if only < 0x80 => Some((unzigzag64(u64::from(only)), 1)),
        [low, high, ..] if high < 0x80 => {
            let value = u64::from(low & 0x7f) | u64::from(high) << 7;
            Some((unzigzag64(value), 2))
        }
        _ => read_long_varlong(bytes),
    }
}

#[inline(never)]
fn read_long_varint(bytes: &[u8]) -> Option<(i32, usize)> {
    let (value, size) = read_unsigned(bytes, VARINT_SIZE_MAX)?;
    let value = u32::try_from(value).ok()?;
    Some((unzigzag32(value), size))
}

#[inline(never)]
fn read_long_varlong(bytes: &[u8]) -> Option<(i64, usize)> {
    let (value, size) = read_unsigned(bytes, VARLONG_SIZE_MAX)?;
    Some((unzigzag64(value), size))
}

fn read_unsigned(bytes: &[u8], size_max: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().enumerate().take(size_max) {
        if index == VARLONG_SIZE_MAX - 1 && byte > 0x01 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    None
}

/// Appends `value`.
pub(super) fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_varlong(out, i64::from(value));
}

/// Appends `value`. An `i32` has the same encoding as the `i64` of its value.
pub(super) fn write_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag64(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes that `value` takes.
pub(super) fn varlong_size(value: i64) -> usize {
    let bits = 64 - (zigzag64(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Bytes that a length takes, with -1 for `None`.
pub(super) fn length_size(length: Option<usize>) -> usize {
    length.map_or(1, |length| varlong_size(length as i64))
}

fn unzigzag32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

fn unzigzag64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn zigzag64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_encodings() {
        let table: &[(i64, &[u8])] = &[
            (0, &[0x00]),
            (-1, &[0x01]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ];
        for (value, bytes) in table {
            let mut out = Vec::new();
            write_varlong(&mut out, *value);
            assert_eq!(&out, bytes);
            assert_eq!(read_varint(bytes), Some((*value as i32, bytes.len())));
            assert_eq!(read_varlong(bytes), Some((*value, bytes.len())));
        }
    }

    #[test]
    fn over_long_and_cut_off_encodings_are_refused() {
        assert_eq!(read_varint(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
        assert_eq!(read_varint(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]), None);
        assert_eq!(read_varint(&[0x80]), None);
        assert_eq!(read_varint(&[]), None);
        assert_eq!(read_varint(&[0x80, 0x00]), Some((0, 2)));
        let mut long = [0xff; 10];
        long[9] = 0x02;
        assert_eq!(read_varlong(&long), None);
        long[9] = 0x01;
        assert_eq!(read_varlong(&long), Some((i64::MIN, 10)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: i64) {
            let mut out = Vec::new();
            write_varlong(&mut out, value);
            prop_assert_eq!(out.len(), varlong_size(value));
            prop_assert_eq!(read_varlong(&out), Some((value, out.len())));
            let narrow = value as i32;
            out.clear();
            write_varint(&mut out, narrow);
            prop_assert_eq!(read_varint(&out), Some((narrow, out.len())));
        }
    }
}
