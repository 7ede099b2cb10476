//! Holds every length and count of a body against the bytes that are there, before anything is
//! reserved for it, and says how much memory decoding will take. Allocates nothing.

use bytes::Bytes;
use kafka_protocol::protocol::Request;

use super::api::{ApiKey, ApiRow};
use super::layout::{Field, Kind, Struct};

/// The longest string of a request or response, bytes (Kafka's `Short.MAX_VALUE`, also where the
/// length is a varint).
pub(super) const STRING_SIZE_MAX: usize = 0x7fff;

/// How deep structures may nest. The layouts nest four deep; only a mistake in a table gets here.
const DEPTH_MAX: usize = 8;

/// Decoded memory of any body may reach this, bytes.
pub const DECODED_SIZE_FLOOR: usize = 64 << 20;

/// Above [`DECODED_SIZE_FLOOR`] a decoded body may take this many times its bytes on the wire.
/// Real requests stay far below; 100 MB of empty topic names would become 4 GB.
pub const DECODED_SIZE_RATIO_MAX: usize = 4;

/// Memory of the first unknown tagged field of a structure: the leaf of a `BTreeMap<i32, Bytes>`,
/// 11 slots of 36 bytes, with the allocator's share.
const FIRST_TAG_MEMORY_SIZE: usize = 448;

/// Memory of each further unknown tagged field: leaves may be half full, and have inner nodes.
const NEXT_TAG_MEMORY_SIZE: usize = 112;

/// The memory that a body of `body_size` bytes may take decoded, bytes, its own bytes not counted
/// (strings and records are slices of them).
pub const fn decoded_size_limit(body_size: usize) -> usize {
    DECODED_SIZE_FLOOR.saturating_add(body_size.saturating_mul(DECODED_SIZE_RATIO_MAX))
}

/// A body or header that does not say what it must. The connection that sent it is closed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field} at byte {position}: {fault}")]
pub struct MalformedFrame {
    /// Kafka's name of the field, or what else was being read.
    pub field: &'static str,
    /// Bytes from the start of what was checked.
    pub position: usize,
    pub fault: Fault,
}

/// What is wrong with a [`MalformedFrame`].
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    #[error("needs {needed} bytes, {remaining} are left")]
    Truncated { needed: usize, remaining: usize },
    #[error("length {0} is negative")]
    NegativeLength(i64),
    #[error("null where null is not allowed")]
    NullNotAllowed,
    #[error("string of {0} bytes is longer than {STRING_SIZE_MAX}")]
    StringTooLong(usize),
    #[error("varint of more than 32 bits")]
    VarintTooLong,
    #[error("tagged field says {size} bytes but has {found}")]
    TagSize { size: usize, found: usize },
    #[error("tag {tag} does not exist in version {version}")]
    TagVersion { tag: u32, version: i16 },
    #[error("presence byte {0} of a structure is neither 1 nor -1")]
    Presence(i8),
    #[error("nested more than {DEPTH_MAX} deep")]
    TooDeep,
    #[error("decoded it takes more than {limit} bytes of memory")]
    TooLarge { limit: usize },
    #[error("{0} bytes are left behind it")]
    LeftOver(usize),
    #[error("{0}")]
    Undecodable(String),
}

/// A body whose lengths are sound: the only way to the decoder.
#[derive(Clone, Debug)]
pub struct CheckedBody {
    key: ApiKey,
    version: i16,
    body: Bytes,
    decoded_size: usize,
}

/// Checks a request body. The version must be one of the table's `decoded` (assertion): the
/// header's parser has seen to that. Bytes behind the body are ignored.
pub fn check_request(
    key: ApiKey,
    version: i16,
    body: Bytes,
) -> Result<CheckedBody, MalformedFrame> {
    let row = key.row();
    let decoded_size = walk(row, row.request, version, &body)?.decoded_size;
    Ok(CheckedBody {
        key,
        version,
        body,
        decoded_size,
    })
}

/// Checks a response body (behind its header), as [`check_request`] does a request's: a client
/// trusts a broker no more than a broker a client.
pub fn check_response(
    key: ApiKey,
    version: i16,
    body: Bytes,
) -> Result<CheckedBody, MalformedFrame> {
    let row = key.row();
    let decoded_size = walk(row, row.response, version, &body)?.decoded_size;
    Ok(CheckedBody {
        key,
        version,
        body,
        decoded_size,
    })
}

/// A walk over a whole body, at its end.
fn walk<'a>(
    row: &ApiRow,
    layout: &Struct,
    version: i16,
    body: &'a [u8],
) -> Result<Walk<'a>, MalformedFrame> {
    assert!(
        row.decoded.contains(version),
        "{} version {version} is outside of {:?}",
        row.name,
        row.decoded
    );
    let mut walk = Walk {
        bytes: body,
        position: 0,
        version,
        flexible: row.is_flexible(version),
        decoded_size: layout.memory_size,
        decoded_size_limit: decoded_size_limit(body.len()),
    };
    walk.structure(layout, 0)?;
    Ok(walk)
}

/// Whether a body of ours is one that [`check_request`] or [`check_response`] would let pass, to
/// its last byte. The crate writes a null also where the version has none, and compact strings of
/// any length.
pub(super) fn check_own(
    row: &ApiRow,
    layout: &Struct,
    version: i16,
    body: &[u8],
) -> Result<(), MalformedFrame> {
    let walked = walk(row, layout, version, body)?;
    match walked.remaining() {
        0 => Ok(()),
        count => walked.fail(layout.name, Fault::LeftOver(count)),
    }
}

impl CheckedBody {
    /// Upper bound of the memory that decoding takes, bytes, the body itself not counted: what
    /// admission charges before it calls [`CheckedBody::decode_request`].
    pub fn decoded_size(&self) -> usize {
        self.decoded_size
    }

    /// Size of the body, bytes.
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// Decodes a request; strings and records are slices of the body. What can still be wrong is
    /// a string that is not UTF-8. `R` must be the API that was checked (assertion).
    pub fn decode_request<R: Request>(self) -> Result<R, MalformedFrame> {
        assert_eq!(
            R::KEY,
            self.key.code(),
            "body of {} decoded as another API",
            self.key
        );
        self.decode()
    }

    /// Decodes a response, as [`CheckedBody::decode_request`] does a request.
    pub fn decode_response<R: Request>(self) -> Result<R::Response, MalformedFrame> {
        assert_eq!(
            R::KEY,
            self.key.code(),
            "body of {} decoded as another API",
            self.key
        );
        self.decode()
    }

    fn decode<T: kafka_protocol::protocol::Decodable>(mut self) -> Result<T, MalformedFrame> {
        let size = self.body.len();
        T::decode(&mut self.body, self.version).map_err(|error| MalformedFrame {
            field: self.key.name(),
            position: size - self.body.len(),
            fault: Fault::Undecodable(error.to_string()),
        })
    }
}

/// Reads forward over bytes that nobody vouches for.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    position: usize,
    version: i16,
    flexible: bool,
    decoded_size: usize,
    decoded_size_limit: usize,
}

impl<'a> Walk<'a> {
    /// For a header: nothing in it is decoded into memory.
    pub(super) fn over_header(bytes: &'a [u8]) -> Walk<'a> {
        Walk {
            bytes,
            position: 0,
            version: 0,
            flexible: false,
            decoded_size: 0,
            decoded_size_limit: usize::MAX,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    fn fail<T>(&self, field: &'static str, fault: Fault) -> Result<T, MalformedFrame> {
        Err(MalformedFrame {
            field,
            position: self.position,
            fault,
        })
    }

    fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(super) fn take(
        &mut self,
        field: &'static str,
        size: usize,
    ) -> Result<&'a [u8], MalformedFrame> {
        let remaining = self.remaining();
        if size > remaining {
            return self.fail(
                field,
                Fault::Truncated {
                    needed: size,
                    remaining,
                },
            );
        }
        let taken = &self.bytes[self.position..self.position + size];
        self.position += size;
        Ok(taken)
    }

    fn take_array<const N: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<[u8; N], MalformedFrame> {
        let taken = self.take(field, N)?;
        Ok(taken.try_into().expect("take returns what was asked for"))
    }

    pub(super) fn int16(&mut self, field: &'static str) -> Result<i16, MalformedFrame> {
        self.take_array(field).map(i16::from_be_bytes)
    }

    pub(super) fn int32(&mut self, field: &'static str) -> Result<i32, MalformedFrame> {
        self.take_array(field).map(i32::from_be_bytes)
    }

    /// An unsigned varint of at most five bytes and 32 bits, as Kafka's `ByteUtils` reads it. The
    /// crate would take a longer one for five bytes and lose its place.
    fn varint(&mut self, field: &'static str) -> Result<u32, MalformedFrame> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take_array(field)?;
            if shift == 28 && byte > 0x0f {
                return self.fail(field, Fault::VarintTooLong);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(value)
    }

    /// A length with `-1` as null: an `int16` or `int32` by `wide`, or a varint of one more.
    fn length(&mut self, field: &'static str, wide: bool) -> Result<Option<usize>, MalformedFrame> {
        if self.flexible {
            let length = self.varint(field)?;
            return Ok(length.checked_sub(1).map(|length| length as usize));
        }
        let length = match wide {
            true => self.int32(field)?,
            false => i32::from(self.int16(field)?),
        };
        match usize::try_from(length) {
            Ok(length) => Ok(Some(length)),
            Err(_) if length == -1 => Ok(None),
            Err(_) => self.fail(field, Fault::NegativeLength(i64::from(length))),
        }
    }

    fn structure(&mut self, layout: &Struct, depth: usize) -> Result<(), MalformedFrame> {
        if depth > DEPTH_MAX {
            return self.fail(layout.name, Fault::TooDeep);
        }
        for field in layout.fields {
            if field.tag.is_none() && field.versions.contains(self.version) {
                self.field(field, depth)?;
            }
        }
        if self.flexible {
            self.tagged_section(layout, depth)
        } else {
            Ok(())
        }
    }

    /// `count (tag size content)*`. Unknown tags are stepped over, but the decoder keeps them.
    fn tagged_section(&mut self, layout: &Struct, depth: usize) -> Result<(), MalformedFrame> {
        let count = self.varint(layout.name)?;
        let mut unknown_count = 0;
        for _ in 0..count {
            let tag = self.varint(layout.name)?;
            let size = self.varint(layout.name)? as usize;
            let start = self.position;
            let Some(field) = layout.tagged_field(tag) else {
                self.take(layout.name, size)?;
                unknown_count += 1;
                self.charge_tag(layout.name, unknown_count)?;
                continue;
            };
            let version = self.version;
            if !field.versions.contains(version) {
                return self.fail(field.name, Fault::TagVersion { tag, version });
            }
            self.field(field, depth)?;
            let found = self.position - start;
            if found != size {
                return self.fail(field.name, Fault::TagSize { size, found });
            }
        }
        Ok(())
    }

    fn charge_tag(&mut self, field: &'static str, nth: usize) -> Result<(), MalformedFrame> {
        match nth {
            1 => self.charge(field, 1, FIRST_TAG_MEMORY_SIZE),
            _ => self.charge(field, 1, NEXT_TAG_MEMORY_SIZE),
        }
    }

    fn charge(
        &mut self,
        field: &'static str,
        count: usize,
        memory_size: usize,
    ) -> Result<(), MalformedFrame> {
        let size = count.saturating_mul(memory_size);
        self.decoded_size = self.decoded_size.saturating_add(size);
        let limit = self.decoded_size_limit;
        if self.decoded_size > limit {
            return self.fail(field, Fault::TooLarge { limit });
        }
        Ok(())
    }

    fn field(&mut self, field: &Field, depth: usize) -> Result<(), MalformedFrame> {
        let nullable = field.nullable.contains(self.version);
        self.value(field.name, field.kind, nullable, depth)
    }

    fn value(
        &mut self,
        name: &'static str,
        kind: Kind,
        nullable: bool,
        depth: usize,
    ) -> Result<(), MalformedFrame> {
        if let Some(size) = kind.fixed_size() {
            self.take(name, size)?;
            return Ok(());
        }
        if let Kind::Struct(layout) = kind {
            return self.inner_structure(name, layout, nullable, depth);
        }
        let Some(length) = self.length(name, !matches!(kind, Kind::Str))? else {
            return if nullable {
                Ok(())
            } else {
                self.fail(name, Fault::NullNotAllowed)
            };
        };
        match kind {
            Kind::Str if length > STRING_SIZE_MAX => self.fail(name, Fault::StringTooLong(length)),
            Kind::Array(element) => self.elements(name, *element, length, depth),
            Kind::Structs(layout) => self.elements(name, Kind::Struct(layout), length, depth),
            _ => self.take(name, length).map(|_| ()),
        }
    }

    fn inner_structure(
        &mut self,
        name: &'static str,
        layout: &Struct,
        nullable: bool,
        depth: usize,
    ) -> Result<(), MalformedFrame> {
        if nullable {
            match self.take_array(name).map(i8::from_be_bytes)? {
                -1 => return Ok(()),
                1 => {}
                other => return self.fail(name, Fault::Presence(other)),
            }
        }
        self.structure(layout, depth + 1)
    }

    /// The count is held against the bytes left at the element's smallest size, then each element
    /// is walked: the decoder runs only when all of them are really there.
    fn elements(
        &mut self,
        name: &'static str,
        element: Kind,
        count: usize,
        depth: usize,
    ) -> Result<(), MalformedFrame> {
        // Only a structure without fields in this version could take no bytes, and none is.
        let size_min = element.fixed_size().unwrap_or(1);
        let needed = count.saturating_mul(size_min);
        let remaining = self.remaining();
        if needed > remaining {
            return self.fail(name, Fault::Truncated { needed, remaining });
        }
        self.charge(name, count, element.memory_size())?;
        if element.fixed_size().is_some() {
            self.position += needed;
            return Ok(());
        }
        for _ in 0..count {
            self.value(name, element, false, depth)?;
        }
        Ok(())
    }

    /// A header's client id: always an `int16` length, also in flexible versions.
    pub(super) fn nullable_string(
        &mut self,
        field: &'static str,
    ) -> Result<Option<std::ops::Range<usize>>, MalformedFrame> {
        let length = self.int16(field)?;
        if length == -1 {
            return Ok(None);
        }
        let Ok(length) = usize::try_from(length) else {
            return self.fail(field, Fault::NegativeLength(i64::from(length)));
        };
        let start = self.position;
        self.take(field, length)?;
        Ok(Some(start..start + length))
    }

    /// A header's tagged section: none of its tags means anything to us.
    pub(super) fn skip_tagged_section(
        &mut self,
        field: &'static str,
    ) -> Result<(), MalformedFrame> {
        for _ in 0..self.varint(field)? {
            self.varint(field)?;
            let size = self.varint(field)? as usize;
            self.take(field, size)?;
        }
        Ok(())
    }
}
