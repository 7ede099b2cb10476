//! Sample bodies made from the layouts, and the same with a length that lies: for tests, fuzzers
//! and the hostile client. Deterministic; no part of the broker calls it.

use bytes::BytesMut;

use super::api::{ApiKey, ApiRow};
use super::codec::put_request_header;
use super::frame::FRAME_PREFIX_SIZE;
use super::layout::{Field, Kind, Struct};

/// Which of an API's two messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    Request,
    Response,
}

impl ApiRow {
    /// The layout of one of the two messages.
    pub fn layout(&self, direction: Direction) -> &'static Struct {
        match direction {
            Direction::Request => self.request,
            Direction::Response => self.response,
        }
    }
}

/// How much a sample holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fill {
    /// Elements in each array, at every depth.
    pub element_count: usize,
    /// Size of each string and of bytes, bytes.
    pub text_size: usize,
    /// Tagged fields that nobody knows, in each structure of a flexible version.
    pub unknown_tag_count: usize,
    /// Whether fields that may be null are.
    pub null: bool,
}

/// How a length is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LengthKind {
    Int16,
    Int32,
    /// Of a string, bytes or array: one more than the length.
    Compact,
    /// Of a tagged section or a tagged field: the number itself.
    Varint,
}

/// A length or count within a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LengthSite {
    pub field: &'static str,
    /// Where it starts, bytes.
    pub position: usize,
    /// Bytes that it takes.
    pub size: usize,
    pub kind: LengthKind,
    pub nullable: bool,
}

/// A well-formed body and where its lengths are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sample {
    pub body: Vec<u8>,
    pub lengths: Vec<LengthSite>,
}

/// The first unknown tag of a sample; Kafka's own stay far below.
const UNKNOWN_TAG_MIN: u32 = 10_000;

/// Every byte of a number in a sample: no field has it as its default.
const FILL_BYTE: u8 = 1;

/// A body of `row`'s message in `version`.
pub fn sample(row: &ApiRow, direction: Direction, version: i16, fill: Fill) -> Sample {
    let flexible = row.is_flexible(version);
    let mut writer = Writer {
        version,
        flexible,
        fill,
        sample: Sample::default(),
    };
    writer.structure(row.layout(direction));
    writer.sample
}

/// A whole request frame around a body that need not be sound; the size prefix is true.
pub fn request_frame(key: ApiKey, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    put_request_header(&mut frame, key, version, correlation_id, Some("hostile"));
    frame.extend_from_slice(body);
    let size = (frame.len() - FRAME_PREFIX_SIZE) as u32;
    frame[..FRAME_PREFIX_SIZE].copy_from_slice(&size.to_be_bytes());
    frame.to_vec()
}

impl LengthSite {
    /// What a liar would write here: each makes a body malformed that holds less than 32 KiB.
    pub fn lies(&self) -> Vec<Vec<u8>> {
        let null = (!self.nullable).then_some(-1i32);
        match self.kind {
            LengthKind::Int16 => [i16::MAX, i16::MIN, -2]
                .into_iter()
                .chain(null.map(|_| -1))
                .map(|value| value.to_be_bytes().to_vec())
                .collect(),
            LengthKind::Int32 => [i32::MAX, i32::MIN, -2]
                .into_iter()
                .chain(null)
                .map(|value| value.to_be_bytes().to_vec())
                .collect(),
            LengthKind::Compact | LengthKind::Varint => {
                let mut lies = vec![
                    varint(i32::MAX as u32),
                    varint(1 << 31),
                    varint(u32::MAX),
                    vec![0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                    vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
                ];
                if self.kind == LengthKind::Compact && !self.nullable {
                    lies.push(vec![0]);
                }
                lies
            }
        }
    }
}

impl Sample {
    /// The body with other bytes in place of the length at `site`.
    pub fn with_length(&self, site: &LengthSite, length: &[u8]) -> Vec<u8> {
        let (before, rest) = self.body.split_at(site.position);
        [before, length, &rest[site.size..]].concat()
    }

    /// Every body with one lie in it, with the name of the field that lies.
    pub fn lying_bodies(&self) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
        self.lengths.iter().flat_map(move |site| {
            let lies = site.lies().into_iter();
            lies.map(move |lie| (site.field, self.with_length(site, &lie)))
        })
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

struct Writer {
    version: i16,
    flexible: bool,
    fill: Fill,
    sample: Sample,
}

impl Writer {
    fn structure(&mut self, layout: &Struct) {
        let fields = layout.fields.iter();
        let fields = fields.filter(|field| field.versions.contains(self.version));
        let (tagged, plain): (Vec<&Field>, Vec<&Field>) =
            fields.partition(|field| field.tag.is_some());
        for field in plain {
            self.field(field);
        }
        if self.flexible {
            self.tagged_section(layout.name, tagged);
        }
    }

    fn tagged_section(&mut self, name: &'static str, mut tagged: Vec<&Field>) {
        tagged.sort_by_key(|field| field.tag);
        self.length(
            name,
            tagged.len() + self.fill.unknown_tag_count,
            LengthKind::Varint,
            false,
        );
        for field in tagged {
            self.put(&varint(field.tag.expect("only tagged fields are here")));
            let content = Writer {
                version: self.version,
                flexible: self.flexible,
                fill: self.fill,
                sample: Sample::default(),
            }
            .of_field(field);
            self.length(field.name, content.body.len(), LengthKind::Varint, false);
            self.append(content);
        }
        for index in 0..self.fill.unknown_tag_count {
            self.put(&varint(UNKNOWN_TAG_MIN + index as u32));
            self.length(
                "unknown tag",
                self.fill.text_size,
                LengthKind::Varint,
                false,
            );
            self.put(&vec![FILL_BYTE; self.fill.text_size]);
        }
    }

    fn of_field(mut self, field: &Field) -> Sample {
        self.field(field);
        self.sample
    }

    fn append(&mut self, content: Sample) {
        let start = self.sample.body.len();
        self.put(&content.body);
        let sites = content.lengths.into_iter();
        let moved = sites.map(|site| LengthSite {
            position: start + site.position,
            ..site
        });
        self.sample.lengths.extend(moved);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.sample.body.extend_from_slice(bytes);
    }

    fn field(&mut self, field: &Field) {
        let nullable = field.nullable.contains(self.version);
        let null = nullable && self.fill.null;
        match (field.kind, nullable) {
            (Kind::Struct(_), true) if null => return self.put(&[0xff]),
            (Kind::Struct(_), true) => self.put(&[1]),
            _ => {}
        }
        self.value(field.name, field.kind, nullable, null);
    }

    fn value(&mut self, name: &'static str, kind: Kind, nullable: bool, null: bool) {
        if let Some(size) = kind.fixed_size() {
            return self.put(&vec![FILL_BYTE; size]);
        }
        let length = match kind {
            Kind::Struct(layout) => return self.structure(layout),
            Kind::Str | Kind::Bytes | Kind::Records => self.fill.text_size,
            _ => self.fill.element_count,
        };
        let length_kind = match (self.flexible, kind) {
            (true, _) => LengthKind::Compact,
            (false, Kind::Str) => LengthKind::Int16,
            (false, _) => LengthKind::Int32,
        };
        if null {
            return self.null(name, length_kind);
        }
        self.length(name, length, length_kind, nullable);
        match kind {
            Kind::Array(element) => self.elements(name, *element),
            Kind::Structs(layout) => self.elements(name, Kind::Struct(layout)),
            _ => self.put(&vec![b'a'; length]),
        }
    }

    fn elements(&mut self, name: &'static str, element: Kind) {
        for _ in 0..self.fill.element_count {
            self.value(name, element, false, false);
        }
    }

    fn null(&mut self, field: &'static str, kind: LengthKind) {
        match kind {
            LengthKind::Int16 => self.put_length(field, &[0xff; 2], kind, true),
            LengthKind::Int32 => self.put_length(field, &[0xff; 4], kind, true),
            LengthKind::Compact | LengthKind::Varint => self.put_length(field, &[0], kind, true),
        }
    }

    fn length(&mut self, field: &'static str, length: usize, kind: LengthKind, nullable: bool) {
        let bytes = match kind {
            LengthKind::Int16 => (length as i16).to_be_bytes().to_vec(),
            LengthKind::Int32 => (length as i32).to_be_bytes().to_vec(),
            LengthKind::Compact => varint(length as u32 + 1),
            LengthKind::Varint => varint(length as u32),
        };
        self.put_length(field, &bytes, kind, nullable);
    }

    fn put_length(&mut self, field: &'static str, bytes: &[u8], kind: LengthKind, nullable: bool) {
        let position = self.sample.body.len();
        let size = bytes.len();
        self.sample.lengths.push(LengthSite {
            field,
            position,
            size,
            kind,
            nullable,
        });
        self.put(bytes);
    }
}
