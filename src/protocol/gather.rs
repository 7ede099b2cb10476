//! A frame that is written around bytes which are already somewhere else: records are taken by
//! reference, the rest goes into one buffer.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::FRAME_PREFIX_SIZE;
use super::length_check::STRING_SIZE_MAX;

/// A part of a frame on its way out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FramePiece {
    Bytes(Bytes),
    /// So many bytes that the sender fills in when it comes to them. Gaps are in the order in which
    /// they were put.
    Gap {
        size: usize,
    },
}

/// Writes a frame as pieces. Starts behind the header, which the caller has put.
#[derive(Debug)]
pub(super) struct Gather {
    flexible: bool,
    /// Everything but the records.
    buffer: BytesMut,
    /// Records, each with the position in `buffer` before which it goes.
    records: Vec<(usize, FramePiece)>,
    records_size: usize,
}

impl Gather {
    /// `buffer` holds room for the size prefix and the header.
    pub(super) fn new(buffer: BytesMut, flexible: bool) -> Gather {
        Gather {
            flexible,
            buffer,
            records: Vec::new(),
            records_size: 0,
        }
    }

    /// For values of a fixed size, and structures that the crate encodes.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    pub(super) fn put_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buffer.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.put_u8(value as u8);
    }

    /// The length of an array or of bytes; `None` is null.
    pub(super) fn put_length(&mut self, length: Option<usize>) -> Result<(), String> {
        let too_long = |_| format!("length {length:?} is too long");
        let length = length.map(i32::try_from).transpose().map_err(too_long)?;
        match (self.flexible, length) {
            (true, None) => self.put_varint(0),
            (true, Some(length)) => self.put_varint(length as u32 + 1),
            (false, None) => self.buffer.put_i32(-1),
            (false, Some(length)) => self.buffer.put_i32(length),
        }
        Ok(())
    }

    pub(super) fn put_string(&mut self, text: Option<&str>) -> Result<(), String> {
        let length = text.map_or(0, str::len);
        if length > STRING_SIZE_MAX {
            return Err(format!(
                "string of {length} bytes is longer than {STRING_SIZE_MAX}"
            ));
        }
        match (self.flexible, text) {
            (true, None) => self.put_varint(0),
            (true, Some(_)) => self.put_varint(length as u32 + 1),
            (false, None) => self.buffer.put_i16(-1),
            (false, Some(_)) => self.buffer.put_i16(length as i16),
        }
        self.buffer.put_slice(text.unwrap_or("").as_bytes());
        Ok(())
    }

    /// Records that lie in several pieces, and a gap of `gap_size` bytes behind them; nothing of
    /// them is copied.
    pub(super) fn put_records(&mut self, pieces: &[Bytes], gap_size: usize) -> Result<(), String> {
        let size = gap_size + pieces.iter().map(Bytes::len).sum::<usize>();
        self.put_length(Some(size))?;
        let position = self.buffer.len();
        let filled = pieces.iter().filter(|piece| !piece.is_empty());
        let filled = filled.map(|piece| FramePiece::Bytes(piece.clone()));
        let gap = (gap_size > 0).then_some(FramePiece::Gap { size: gap_size });
        self.records
            .extend(filled.chain(gap).map(|piece| (position, piece)));
        self.records_size += size;
        Ok(())
    }

    /// A tagged section without fields, where the version has one.
    pub(super) fn put_no_tags(&mut self) {
        if self.flexible {
            self.buffer.put_u8(0);
        }
    }

    /// [`Gather::finish`] of a frame without gaps.
    pub(super) fn finish_whole(self) -> Result<Vec<Bytes>, String> {
        let pieces = self.finish()?.into_iter().map(|piece| match piece {
            FramePiece::Bytes(bytes) => bytes,
            FramePiece::Gap { .. } => panic!("nobody would fill the gap"),
        });
        Ok(pieces.collect())
    }

    /// Sets the size prefix. None of the pieces is empty; in their order they are the frame.
    pub(super) fn finish(mut self) -> Result<Vec<FramePiece>, String> {
        let size = self.buffer.len() - FRAME_PREFIX_SIZE + self.records_size;
        let prefix = i32::try_from(size).map_err(|_| format!("frame of {size} bytes"))?;
        self.buffer[..FRAME_PREFIX_SIZE].copy_from_slice(&prefix.to_be_bytes());
        let buffer = self.buffer.freeze();
        let mut pieces = Vec::with_capacity(2 * self.records.len() + 1);
        let mut start = 0;
        for (position, records) in self.records {
            if position > start {
                pieces.push(FramePiece::Bytes(buffer.slice(start..position)));
                start = position;
            }
            pieces.push(records);
        }
        if start < buffer.len() {
            pieces.push(FramePiece::Bytes(buffer.slice(start..)));
        }
        Ok(pieces)
    }
}
