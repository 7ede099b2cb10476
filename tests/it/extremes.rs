//! Request bodies with every field at its extremes, made from `protocol::layout`: sound ones whose
//! values nobody would send, and broken ones. Deterministic: a case is a number.

use bytes::Bytes;
use ringlog::protocol::ApiRow;
use ringlog::protocol::hostile::{LengthKind, LengthSite};
use ringlog::protocol::layout::{Field, Kind, Struct};

use crate::records::{batch, changed};

/// Elements of an array that is long, at whatever depth it stands.
const MANY_COUNT: usize = 1_000;

/// Bytes of a string or of bytes that is long: more than an `int16` can say of a compact one.
const LONG_SIZE: usize = 40_000;

/// The longest name of a topic, bytes.
const NAME_SIZE_MAX: usize = 249;

/// The first tag that no message of Kafka knows.
const UNKNOWN_TAG: u32 = 10_000;

/// Of a random body, one field in so many has an extreme value.
const RANDOM_SHARE: u64 = 4;

/// What a sound request of the generator is about.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) topic: String,
    pub(crate) topic_id: [u8; 16],
}

/// Which fields of a body have extreme values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoilt {
    /// None.
    Nothing,
    /// The field `site`, in the order of the wire, has the value number `choice` of its extremes.
    One { site: usize, choice: usize },
    /// Some, drawn from this seed.
    Some { seed: u64 },
}

/// A body, and how many extreme values each of its fields has, in the order of the wire.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) choice_counts: Vec<usize>,
}

/// The body of a request of `row` in `version`.
pub(crate) fn body(row: &ApiRow, version: i16, subject: &Subject, spoilt: Spoilt) -> Body {
    let seed = match spoilt {
        Spoilt::Some { seed } => seed,
        _ => 0,
    };
    let mut writer = Writer {
        version,
        flexible: row.is_flexible(version),
        subject,
        spoilt,
        random: Random(seed),
        long_arrays_left: 1,
        body: Body {
            bytes: Vec::new(),
            choice_counts: Vec::new(),
        },
    };
    writer.structure(row.request);
    writer.body
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

struct Writer<'s> {
    version: i16,
    flexible: bool,
    subject: &'s Subject,
    spoilt: Spoilt,
    random: Random,
    /// Long arrays in long arrays would be too much for a frame.
    long_arrays_left: usize,
    body: Body,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.body.bytes.extend_from_slice(bytes);
    }

    /// Which of `count` extreme values the next field has; `None` for a usual one.
    fn choose(&mut self, count: usize) -> Option<usize> {
        let here = self.body.choice_counts.len();
        self.body.choice_counts.push(count);
        match self.spoilt {
            Spoilt::One { site, choice } => (site == here).then_some(choice),
            Spoilt::Some { .. } if count > 0 && self.random.below(RANDOM_SHARE) == 0 => {
                Some(self.random.below(count as u64) as usize)
            }
            _ => None,
        }
    }

    fn structure(&mut self, layout: &Struct) {
        let fields = layout.fields.iter();
        let fields = fields.filter(|field| field.versions.contains(self.version));
        let (tagged, plain): (Vec<&Field>, Vec<&Field>) =
            fields.partition(|field| field.tag.is_some());
        for field in plain {
            self.field(field);
        }
        if self.flexible {
            self.tagged_section(tagged);
        }
    }

    /// Kafka's own tags, unknown ones, many, one twice, in falling order, of a wrong size.
    fn tagged_section(&mut self, mut tagged: Vec<&Field>) {
        tagged.sort_by_key(|field| field.tag);
        let lies = lies(LengthKind::Varint, false);
        let unknown = |tag: u32| [varint(tag), varint(1), vec![7]].concat();
        let sections = [
            [varint(1), unknown(UNKNOWN_TAG)].concat(),
            [varint(2), unknown(UNKNOWN_TAG), unknown(UNKNOWN_TAG)].concat(),
            [varint(2), unknown(UNKNOWN_TAG + 1), unknown(UNKNOWN_TAG)].concat(),
            [varint(1), varint(UNKNOWN_TAG), varint(u32::MAX)].concat(),
            [varint(1), varint(u32::MAX), varint(0)].concat(),
            [varint(1), varint(0), varint(0)].concat(),
            [varint(1), varint(0), varint(3), vec![0xff; 3]].concat(),
            {
                let count = MANY_COUNT as u32;
                let each = (0..count).map(|index| unknown(UNKNOWN_TAG + index));
                let each: Vec<u8> = each.flatten().collect();
                [varint(count), each].concat()
            },
        ];
        match self.choose(sections.len() + lies.len()) {
            Some(choice) if choice < sections.len() => self.put(&sections[choice]),
            Some(choice) => self.put(&lies[choice - sections.len()]),
            None => {
                self.put(&varint(tagged.len() as u32));
                for field in tagged {
                    self.put(&varint(field.tag.expect("only tagged fields are here")));
                    let before = std::mem::take(&mut self.body.bytes);
                    self.field(field);
                    let content = std::mem::replace(&mut self.body.bytes, before);
                    self.put(&varint(content.len() as u32));
                    self.put(&content);
                }
            }
        }
    }

    fn field(&mut self, field: &Field) {
        let nullable = field.nullable.contains(self.version);
        if let (Kind::Struct(layout), true) = (field.kind, nullable) {
            match self.choose(4) {
                Some(choice) => self.put(&[[0xff, 0, 0x7f, 0x80][choice]]),
                None => {
                    self.put(&[1]);
                    self.structure(layout);
                }
            }
            return;
        }
        self.value(field.name, field.kind, nullable);
    }

    fn value(&mut self, name: &str, kind: Kind, nullable: bool) {
        match kind {
            Kind::Struct(layout) => self.structure(layout),
            Kind::Array(element) => self.array(name, *element, nullable),
            Kind::Structs(layout) => self.array(name, Kind::Struct(layout), nullable),
            Kind::Str => self.text(name, nullable),
            Kind::Bytes | Kind::Records => self.records(nullable),
            Kind::Uuid => {
                let usual = self.subject.topic_id;
                self.fixed(&usual, &[[0; 16], [0xff; 16], [1; 16]]);
            }
            Kind::Bool | Kind::Int8 => self.fixed(
                &[u8::from(name == "validate_only")],
                &[[0xff], [0x7f], [0x80], [2], [1]],
            ),
            Kind::Int16 | Kind::Uint16 => {
                let values = [i16::MIN, -2, -1, 0, 1, 2, i16::MAX].map(i16::to_be_bytes);
                self.fixed(&usual_number(name).to_be_bytes()[6..], &values);
            }
            Kind::Int32 => {
                let values = [i32::MIN, -2, -1, 0, 1, 2, 1 << 20, i32::MAX].map(i32::to_be_bytes);
                self.fixed(&usual_number(name).to_be_bytes()[4..], &values);
            }
            Kind::Int64 | Kind::Float64 => {
                let values = [i64::MIN, -7, -2, -1, 0, 1, 1 << 32, i64::MAX].map(i64::to_be_bytes);
                self.fixed(&usual_number(name).to_be_bytes(), &values);
            }
        }
    }

    fn fixed<const SIZE: usize>(&mut self, usual: &[u8], extremes: &[[u8; SIZE]]) {
        match self.choose(extremes.len()) {
            Some(choice) => self.put(&extremes[choice]),
            None => self.put(usual),
        }
    }

    fn length_kind(&self, kind: Kind) -> LengthKind {
        match (self.flexible, kind) {
            (true, _) => LengthKind::Compact,
            (false, Kind::Str) => LengthKind::Int16,
            (false, _) => LengthKind::Int32,
        }
    }

    fn sized(&mut self, kind: LengthKind, content: &[u8]) {
        self.put(&length(kind, Some(content.len())));
        self.put(content);
    }

    fn text(&mut self, name: &str, nullable: bool) {
        let kind = self.length_kind(Kind::Str);
        let texts: [&[u8]; 8] = [
            b"",
            b".",
            b"\0",
            b"\xff\xfe",
            "\u{10ffff}".as_bytes(),
            &[b'a'; NAME_SIZE_MAX],
            &[b'a'; NAME_SIZE_MAX + 1],
            &[b'a'; 32_767],
        ];
        let long = [b'a'; LONG_SIZE];
        let lies = lies(kind, nullable);
        // The null is sound where it is allowed, and a lie where it is not.
        let wholes = texts.len() + usize::from(kind == LengthKind::Compact);
        match self.choose(wholes + 1 + lies.len()) {
            Some(choice) if choice < texts.len() => self.sized(kind, texts[choice]),
            Some(choice) if choice < wholes => self.sized(kind, &long),
            Some(choice) if choice == wholes => self.put(&length(kind, None)),
            Some(choice) => self.put(&lies[choice - wholes - 1]),
            None => {
                let topic = self.subject.topic.clone();
                let usual: &[u8] = match name {
                    "transactional_id" if nullable => return self.put(&length(kind, None)),
                    "value" => b"1",
                    _ => topic.as_bytes(),
                };
                self.sized(kind, usual);
            }
        }
    }

    fn records(&mut self, nullable: bool) {
        let kind = self.length_kind(Kind::Bytes);
        let spoilt = spoilt_batches();
        let lies = lies(kind, nullable);
        match self.choose(spoilt.len() + 1 + lies.len()) {
            Some(choice) if choice < spoilt.len() => self.sized(kind, &spoilt[choice]),
            Some(choice) if choice == spoilt.len() => self.put(&length(kind, None)),
            Some(choice) => self.put(&lies[choice - spoilt.len() - 1]),
            None => self.sized(kind, &batch(&["sound"])),
        }
    }

    fn array(&mut self, name: &str, element: Kind, nullable: bool) {
        let kind = self.length_kind(Kind::Bytes);
        let lies = lies(kind, nullable);
        let count = match self.choose(4 + lies.len()) {
            Some(0) => return self.put(&length(kind, None)),
            Some(1) => 0,
            Some(2) => 3,
            Some(3) if self.long_arrays_left > 0 => {
                self.long_arrays_left -= 1;
                MANY_COUNT
            }
            Some(3) => 3,
            Some(choice) => return self.put(&lies[choice - 4]),
            None => 1,
        };
        self.put(&length(kind, Some(count)));
        for _ in 0..count {
            self.value(name, element, false);
        }
    }
}

/// What a request that makes sense has in a number's place.
fn usual_number(name: &str) -> i64 {
    match name {
        "partition_max_bytes" | "max_bytes" => 1 << 20,
        "timeout_ms" | "transaction_timeout_ms" => 10_000,
        "num_partitions" | "replication_factor" => 1,
        "acks"
        | "replica_id"
        | "current_leader_epoch"
        | "last_fetched_epoch"
        | "session_epoch"
        | "producer_id"
        | "producer_epoch"
        | "timestamp" => -1,
        _ => 0,
    }
}

/// Position and size of every field of a batch's header but the CRC.
const HEADER_FIELDS: [(usize, usize); 12] = [
    (0, 8),
    (8, 4),
    (12, 4),
    (16, 1),
    (21, 2),
    (23, 4),
    (27, 8),
    (35, 8),
    (43, 8),
    (51, 2),
    (53, 4),
    (57, 4),
];

/// Bytes of records at the end of a batch that are spoilt one by one.
const SPOILT_TAIL_SIZE: usize = 20;

/// Batches with each field of the header at its extremes, under a true CRC; cut ones; garbage.
fn spoilt_batches() -> Vec<Bytes> {
    let sound = batch(&["one", "two"]);
    let mut spoilt = vec![
        Bytes::new(),
        Bytes::from(vec![0xff; 100]),
        Bytes::from(vec![0; 100]),
        Bytes::from([&sound[..], &sound[..]].concat()),
        sound.slice(..sound.len() - 1),
        sound.slice(..12),
    ];
    for (position, size) in HEADER_FIELDS {
        let last = |value: i64| value.to_be_bytes()[8 - size..].to_vec();
        let shift = 64 - 8 * size as u32;
        for value in [i64::MAX >> shift, i64::MIN >> shift, -1, 0, 1].map(last) {
            spoilt.push(changed(&sound, |bytes| {
                bytes[position..position + size].copy_from_slice(&value);
            }));
        }
    }
    for position in sound.len() - SPOILT_TAIL_SIZE..sound.len() {
        spoilt.push(changed(&sound, |bytes| bytes[position] ^= 0xff));
    }
    spoilt
}

fn lies(kind: LengthKind, nullable: bool) -> Vec<Vec<u8>> {
    let site = LengthSite {
        field: "",
        position: 0,
        size: 0,
        kind,
        nullable,
    };
    site.lies()
}

fn length(kind: LengthKind, length: Option<usize>) -> Vec<u8> {
    match (kind, length) {
        (LengthKind::Int16, None) => vec![0xff; 2],
        (LengthKind::Int32, None) => vec![0xff; 4],
        (LengthKind::Compact | LengthKind::Varint, None) => vec![0],
        (LengthKind::Int16, Some(length)) => (length as i16).to_be_bytes().to_vec(),
        (LengthKind::Int32, Some(length)) => (length as i32).to_be_bytes().to_vec(),
        (LengthKind::Compact, Some(length)) => varint(length as u32 + 1),
        (LengthKind::Varint, Some(length)) => varint(length as u32),
    }
}

fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
