//! Checksums set right, so that a changed byte is not found out at once.

use ringlog::batch::{CRC_START, HEADER_SIZE, LOG_OVERHEAD};

const CRC_POSITION: usize = 17;

/// Of every batch in a row, as far as their lengths lead.
pub(crate) fn seal_batches(bytes: &mut [u8]) {
    let mut rest = bytes;
    while rest.len() >= HEADER_SIZE {
        let length = i32::from_be_bytes(rest[8..LOG_OVERHEAD].try_into().unwrap());
        let size = usize::try_from(length).map_or(0, |length| LOG_OVERHEAD + length);
        if size < HEADER_SIZE || size > rest.len() {
            return;
        }
        let (batch, behind) = rest.split_at_mut(size);
        let crc = crc32c::crc32c(&batch[CRC_START..]);
        batch[CRC_POSITION..CRC_START].copy_from_slice(&crc.to_be_bytes());
        rest = behind;
    }
}

/// Of a producer snapshot: version (2), CRC (4), what it covers.
pub(crate) fn seal_snapshot(bytes: &mut [u8]) {
    if bytes.len() > 6 {
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Of a slot of `ringlog-checkpoint`: magic (8), version (2), spare (2), size (4), CRC (4), what it
/// covers; a size beyond the slot becomes that of what is there.
pub(crate) fn seal_checkpoint(slot: &mut [u8]) {
    let Some((header, payload)) = slot.split_at_mut_checked(20) else {
        return;
    };
    let size = u32::from_be_bytes(header[12..16].try_into().unwrap()) as usize;
    let size = size.min(payload.len());
    header[12..16].copy_from_slice(&(size as u32).to_be_bytes());
    let crc = crc32c::crc32c(&payload[..size]);
    header[16..20].copy_from_slice(&crc.to_be_bytes());
}

/// Of both slots of a `ringlog-checkpoint`.
pub(crate) fn seal_checkpoint_file(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    let (first, second) = bytes.split_at_mut(middle);
    seal_checkpoint(first);
    seal_checkpoint(second);
}
