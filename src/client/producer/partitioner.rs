//! Which partition a record goes to.

use crate::types::PartitionIndex;

/// Kafka's 32-bit murmur2 (`Utils.murmur2`), with its seed.
pub fn murmur2(data: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const MULTIPLIER: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;
    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let word = u32::from_le_bytes(word.try_into().expect("four bytes"));
        let mut mixed = word.wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> SHIFT;
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed.wrapping_mul(MULTIPLIER);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (index, &byte) in tail.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    (hash ^ (hash >> 15)) as i32
}

/// The partition of a key, as Kafka's default partitioner has it:
/// `toPositive(murmur2(key)) % partition_count`. `partition_count` must be above 0.
pub fn partition_for_key(key: &[u8], partition_count: usize) -> PartitionIndex {
    let positive = (murmur2(key) & i32::MAX) as usize;
    (positive % partition_count) as PartitionIndex
}

/// Where records without a key go: to one partition until about `batch.size` bytes are there, then
/// to a random one, the more likely the less is queued for it (KIP-794).
#[derive(Debug)]
pub(super) struct StickyPartitioner {
    batch_size: usize,
    current: Option<PartitionIndex>,
    /// Bytes since the last switch.
    bytes: usize,
}

impl StickyPartitioner {
    pub(super) fn new(batch_size: usize) -> StickyPartitioner {
        StickyPartitioner {
            batch_size,
            current: None,
            bytes: 0,
        }
    }

    /// The partition to stay with, unless it is time to switch. `is_full`: the record would not fit
    /// into the batch that is open there, or none is open.
    pub(super) fn current(
        &self,
        size: usize,
        is_full: impl Fn(PartitionIndex) -> bool,
    ) -> Option<PartitionIndex> {
        let current = self.current?;
        let bytes = self.bytes + size;
        // A batch is not left half filled for a few bytes too many, up to twice its size.
        let is_due = bytes > self.batch_size && is_full(current);
        (!is_due && bytes <= 2 * self.batch_size).then_some(current)
    }

    /// Switches. `queued(index)`: batches that wait for partition `index`, 0 for all where that is
    /// not to matter; `None` when it has no leader and should not be chosen while others have one.
    pub(super) fn switch(
        &mut self,
        random: u64,
        partition_count: usize,
        queued: impl Fn(usize) -> Option<usize>,
    ) -> PartitionIndex {
        let longest = (0..partition_count).filter_map(&queued).max();
        let weight = |index| match (longest, queued(index)) {
            (Some(longest), Some(count)) => longest - count + 1,
            (Some(_), None) => 0,
            (None, _) => 1,
        };
        let total: usize = (0..partition_count).map(weight).sum();
        let mut ticket = (random % total as u64) as usize;
        let mut chosen = 0;
        for index in 0..partition_count {
            chosen = index;
            match ticket.checked_sub(weight(index)) {
                Some(rest) => ticket = rest,
                None => break,
            }
        }
        self.bytes = 0;
        self.current = Some(chosen as PartitionIndex);
        chosen as PartitionIndex
    }

    /// A record was appended to the current partition.
    pub(super) fn count(&mut self, size: usize) {
        self.bytes += size;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each partition is chosen with every ticket once.
    fn chosen(queued: &[Option<usize>]) -> Vec<usize> {
        let mut partitioner = StickyPartitioner::new(100);
        let mut counts = vec![0; queued.len()];
        // A multiple of every sum of weights below.
        for random in 0..60 {
            let index = partitioner.switch(random, queued.len(), |index| queued[index]);
            counts[index as usize] += 1;
        }
        counts
    }

    #[test]
    fn the_less_is_queued_the_likelier() {
        assert_eq!(chosen(&[Some(0), Some(0), Some(0)]), [20, 20, 20]);
        assert_eq!(chosen(&[Some(3), Some(0)]), [12, 48]);
        assert_eq!(chosen(&[Some(2), Some(1), Some(0)]), [10, 20, 30]);
        // Without a leader only when nobody has one.
        assert_eq!(chosen(&[None, Some(5), None]), [0, 60, 0]);
        assert_eq!(chosen(&[None, None]), [30, 30]);
    }

    #[test]
    fn a_partition_is_kept_for_about_a_batch() {
        let mut partitioner = StickyPartitioner::new(100);
        let never = |_| false;
        let always = |_| true;
        assert_eq!(partitioner.current(10, never), None);
        assert_eq!(partitioner.switch(0, 1, |_| Some(0)), 0);
        partitioner.count(95);
        assert_eq!(partitioner.current(5, always), Some(0));
        assert_eq!(partitioner.current(6, always), None);
        // A batch that has room gets some more, up to twice the size.
        assert_eq!(partitioner.current(105, never), Some(0));
        assert_eq!(partitioner.current(106, never), None);
    }

    #[test]
    fn murmur2_is_kafkas() {
        // Vectors of org.apache.kafka.common.utils.UtilsTest.
        let cases: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (
                b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key), hash, "{}", String::from_utf8_lossy(key));
        }
        // The sign bit is dropped, not negated: -973932308 & 0x7fffffff.
        assert_eq!(
            partition_for_key(b"21", 100),
            (-973_932_308i32 & i32::MAX) % 100
        );
        assert_eq!(partition_for_key(b"abc", 7), 479_470_107 % 7);
    }
}
