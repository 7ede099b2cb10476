//! The words in which layouts are written.

use kafka_protocol::protocol::StrBytes;

/// An inclusive range of versions; empty when `min > max`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

impl Versions {
    /// Every version.
    pub const ALL: Versions = Versions::new(0, i16::MAX);
    /// No version.
    pub const NONE: Versions = Versions::new(1, 0);

    pub const fn new(min: i16, max: i16) -> Versions {
        Versions { min, max }
    }

    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// The versions in ascending order.
    pub fn iter(self) -> impl Iterator<Item = i16> {
        self.min..=self.max
    }
}

/// The type of a field. Lengths of strings, bytes and arrays are an `int16`, `int32`, `int32`, or
/// in a flexible version an unsigned varint of length + 1.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Float64,
    Uuid,
    Str,
    Bytes,
    /// Record batches: on the wire as `Bytes`.
    Records,
    /// A structure in place; a nullable one has an `int8` before it, 1 or -1.
    Struct(&'static Struct),
    /// An array of anything but structures.
    Array(&'static Kind),
    /// An array of structures.
    Structs(&'static Struct),
}

impl Kind {
    /// Bytes on the wire of a type that always takes the same; `None` for the others.
    pub const fn fixed_size(self) -> Option<usize> {
        match self {
            Kind::Bool | Kind::Int8 => Some(1),
            Kind::Int16 | Kind::Uint16 => Some(2),
            Kind::Int32 => Some(4),
            Kind::Int64 | Kind::Float64 => Some(8),
            Kind::Uuid => Some(16),
            _ => None,
        }
    }

    /// Bytes of memory that one decoded value takes as an element of a `Vec`.
    pub const fn memory_size(self) -> usize {
        match self {
            Kind::Str => size_of::<StrBytes>(),
            Kind::Bytes | Kind::Records => size_of::<bytes::Bytes>(),
            Kind::Struct(layout) => layout.memory_size,
            Kind::Array(_) | Kind::Structs(_) => size_of::<Vec<u8>>(),
            _ => match self.fixed_size() {
                Some(size) => size,
                None => 0,
            },
        }
    }
}

/// A field of a [`Struct`], with the versions that have it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub versions: Versions,
    /// The versions in which it may be null.
    pub nullable: Versions,
    /// Its tag, when it stands in the tagged section (KIP-482).
    pub tag: Option<u32>,
}

/// A field of every version, never null, not tagged; the methods narrow that.
pub(super) const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        versions: Versions::ALL,
        nullable: Versions::NONE,
        tag: None,
    }
}

impl Field {
    /// From `version` on.
    pub const fn since(mut self, version: i16) -> Field {
        self.versions.min = version;
        self
    }

    /// Up to `version`, inclusive.
    pub const fn until(mut self, version: i16) -> Field {
        self.versions.max = version;
        self
    }

    /// May be null in every version.
    pub const fn nullable(self) -> Field {
        self.nullable_since(0)
    }

    /// May be null from `version` on.
    pub const fn nullable_since(mut self, version: i16) -> Field {
        self.nullable = Versions::new(version, i16::MAX);
        self
    }

    /// Stands in the tagged section under this tag.
    pub const fn tagged(mut self, tag: u32) -> Field {
        self.tag = Some(tag);
        self
    }
}

/// A message body or a structure within one: fields in the order of the wire. In a flexible
/// version a tagged section follows.
#[derive(Clone, Copy, Debug)]
pub struct Struct {
    /// Kafka's name, for errors.
    pub name: &'static str,
    /// `size_of` the decoded type: what one element of an array of these takes.
    pub memory_size: usize,
    pub fields: &'static [Field],
}

impl Struct {
    /// The field with this tag, in whatever version.
    pub fn tagged_field(&self, tag: u32) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.tag == Some(tag))
    }

    /// The fewest bytes that this takes on the wire.
    pub fn wire_size_min(&self, version: i16, flexible: bool) -> usize {
        let fields = self
            .fields
            .iter()
            .filter(|field| field.tag.is_none() && field.versions.contains(version))
            .map(|field| match field.kind {
                Kind::Struct(_) if field.nullable.contains(version) => 1,
                Kind::Struct(layout) => layout.wire_size_min(version, flexible),
                kind => kind.fixed_size().unwrap_or(match (flexible, kind) {
                    (true, _) => 1,
                    (false, Kind::Str) => 2,
                    (false, _) => 4,
                }),
            });
        fields.sum::<usize>() + usize::from(flexible)
    }
}
