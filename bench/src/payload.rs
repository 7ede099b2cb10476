//! What is in a record of a run, and how it is found again.
//!
//! ```text
//! byte 0      4     8          12          16         24     28
//!      magic  run   producer   partition   sequence   crc    letters ...
//!      u32    u32   u32        u32         u64        u32
//! ```
//! Big-endian. `sequence` counts from 0 for each producer and partition of a run. The CRC32C covers
//! the letters, then bytes 0 to 24: in this order the letters' part is computed once for each slot.

/// `RLB1`
const MAGIC: u32 = 0x524c_4231;
const CRC_POSITION: usize = 24;
/// Bytes before the letters; the least size of a record's value.
pub(crate) const PAYLOAD_SIZE_MIN: usize = 28;
/// Memory for prepared values. More than a cache would only measure the load generator.
const BLOCK_SIZE: usize = 256 << 10;
/// Slots are few enough to be cheap and many enough that a compressor cannot fold a batch to one.
const SLOT_COUNT_MAX: usize = 64;

/// The fields of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PayloadHeader {
    pub(crate) run: u32,
    pub(crate) producer: u32,
    pub(crate) partition: u32,
    pub(crate) sequence: u64,
}

impl PayloadHeader {
    fn bytes(&self) -> [u8; CRC_POSITION] {
        let mut bytes = [0; CRC_POSITION];
        bytes[0..4].copy_from_slice(&MAGIC.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.run.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.producer.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.partition.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_be_bytes());
        bytes
    }

    /// Reads a value and checks its CRC; otherwise says what is wrong.
    pub(crate) fn read(value: &[u8]) -> Result<PayloadHeader, &'static str> {
        if value.len() < PAYLOAD_SIZE_MIN {
            return Err("too short to be a record of this program");
        }
        let word = |at: usize| u32::from_be_bytes(value[at..at + 4].try_into().expect("four"));
        if word(0) != MAGIC {
            return Err("not a record of this program");
        }
        let letters = crc32c::crc32c(&value[PAYLOAD_SIZE_MIN..]);
        if crc32c::crc32c_append(letters, &value[..CRC_POSITION]) != word(CRC_POSITION) {
            return Err("its CRC is wrong");
        }
        Ok(PayloadHeader {
            run: word(4),
            producer: word(8),
            partition: word(12),
            sequence: u64::from_be_bytes(value[16..24].try_into().expect("eight")),
        })
    }
}

/// Makes values: letters are prepared in slots of one block, only the header is written each time.
pub(crate) struct PayloadWriter {
    run: u32,
    producer: u32,
    value_size: usize,
    block: Vec<u8>,
    /// CRC of each slot's letters.
    letters: Vec<u32>,
    next_slot: usize,
}

impl PayloadWriter {
    /// `value_size` is at least [`PAYLOAD_SIZE_MIN`].
    pub(crate) fn new(run: u32, producer: u32, value_size: usize) -> PayloadWriter {
        assert!(value_size >= PAYLOAD_SIZE_MIN, "no room for the header");
        let slot_count = (BLOCK_SIZE / value_size).clamp(1, SLOT_COUNT_MAX);
        let mut random = u64::from(run) << 32 | u64::from(producer) | 1;
        let block: Vec<u8> = (0..slot_count * value_size)
            .map(|_| letter(&mut random))
            .collect();
        let letters = block
            .chunks_exact(value_size)
            .map(|slot| crc32c::crc32c(&slot[PAYLOAD_SIZE_MIN..]))
            .collect();
        PayloadWriter {
            run,
            producer,
            value_size,
            block,
            letters,
            next_slot: 0,
        }
    }

    /// The value of the record with this sequence; good until the next call.
    pub(crate) fn value(&mut self, partition: u32, sequence: u64) -> &[u8] {
        let slot = self.next_slot;
        self.next_slot = (slot + 1) % self.letters.len();
        let header = PayloadHeader {
            run: self.run,
            producer: self.producer,
            partition,
            sequence,
        };
        let bytes = header.bytes();
        let crc = crc32c::crc32c_append(self.letters[slot], &bytes);
        let start = slot * self.value_size;
        let value = &mut self.block[start..start + self.value_size];
        value[..CRC_POSITION].copy_from_slice(&bytes);
        value[CRC_POSITION..PAYLOAD_SIZE_MIN].copy_from_slice(&crc.to_be_bytes());
        value
    }
}

/// A capital letter, as Kafka's own load generator writes them (xorshift64).
fn letter(random: &mut u64) -> u8 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    b'A' + (*random >> 32) as u8 % 26
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_back_and_any_changed_byte_is_found() {
        for value_size in [PAYLOAD_SIZE_MIN, 29, 100, 1024, 300_000] {
            let mut writer = PayloadWriter::new(7, 3, value_size);
            for sequence in [0, 1, u64::MAX] {
                let value = writer.value(11, sequence).to_vec();
                assert_eq!(value.len(), value_size);
                let header = PayloadHeader::read(&value).expect("as written");
                let expected = PayloadHeader {
                    run: 7,
                    producer: 3,
                    partition: 11,
                    sequence,
                };
                assert_eq!(header, expected);
                for position in [0, 5, 23, 27, value_size - 1] {
                    let mut changed = value.clone();
                    changed[position] ^= 1;
                    assert!(PayloadHeader::read(&changed).is_err(), "byte {position}");
                }
            }
        }
        assert!(PayloadHeader::read(&[0; PAYLOAD_SIZE_MIN - 1]).is_err());
    }
}
