//! The simulator's only source of chance.

/// A seeded generator (xoshiro256++). The same seed and purpose give the same numbers for ever;
/// each purpose has a stream of its own, so that drawing a fault does not change the scheduling.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of a purpose under a seed. `index` tells streams of one purpose apart (machines,
    /// shards).
    pub fn stream(seed: u64, purpose: &str, index: u64) -> Random {
        let mut mixer = seed;
        for byte in purpose.bytes() {
            mixer = split_mix(&mut mixer) ^ u64::from(byte);
        }
        mixer ^= split_mix(&mut (index.wrapping_add(0x51ed_270b)));
        Random {
            state: std::array::from_fn(|_| split_mix(&mut mixer)),
        }
    }

    pub fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = self.state;
        let result = s0.wrapping_add(s3).rotate_left(23).wrapping_add(s0);
        let (mut s2, mut s3) = (s2 ^ s0, s3 ^ s1);
        let (s1, s0) = (s1 ^ s2, s0 ^ s3);
        s2 ^= self.state[1] << 17;
        s3 = s3.rotate_left(45);
        self.state = [s0, s1, s2, s3];
        result
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below 0");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True with this probability; draws nothing when it is 0.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.fraction() < probability
    }

    pub fn coin(&mut self) -> bool {
        self.next_u64() >> 63 == 1
    }

    /// A number from 0 to 1.
    pub fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// How long something takes that usually takes `usual` nanoseconds: half to one and a half of
    /// it, and one time in 32 much longer, so that what started later often ends earlier.
    pub fn latency(&mut self, usual: u64) -> u64 {
        let base = usual / 2 + self.below(usual.max(1));
        match self.below(32) {
            0 => base * self.between(4, 40),
            _ => base,
        }
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
