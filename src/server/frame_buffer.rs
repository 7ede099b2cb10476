//! Reading frames from a connection, the large ones without copying what was read.
//!
//! # Non-obvious
//! - What the log keeps of a frame keeps all memory that the frame is in. A frame of 8 KiB in a
//!   buffer that was made for [`READ_SIZE`] would cost the tail cache eight times what it is
//!   charged; so it is copied.

use bytes::{Bytes, BytesMut};

use crate::io::Reader;
use crate::protocol::FRAME_PREFIX_SIZE;

/// What is read at once at most as long as frames are small; several small requests then cost one
/// read.
const READ_SIZE: usize = 64 << 10;

/// Frames above this size get memory of their own, exactly as large as they are: nothing of the
/// next request lands behind them, and what the log keeps of them pins nothing else. It keeps
/// nothing of smaller ones: the tail copies such batches.
const SHARED_FRAME_SIZE_MAX: usize = 4 << 10;

/// The bytes of one connection that were read and not yet handed out.
#[derive(Default)]
pub(super) struct FrameBuffer {
    buffer: BytesMut,
}

impl FrameBuffer {
    pub(super) fn new() -> FrameBuffer {
        FrameBuffer::default()
    }

    /// Waits for the first bytes of the next frame; false at the end of the stream.
    pub(super) async fn begins(&mut self, reader: &mut Reader) -> std::io::Result<bool> {
        if self.buffer.is_empty() {
            // Who is idle holds no buffer: the reader makes room for what has come.
            self.buffer = BytesMut::new();
            return Ok(reader.read(&mut self.buffer, READ_SIZE).await? > 0);
        }
        Ok(true)
    }

    /// The size prefix of a frame that has begun, unchecked.
    pub(super) async fn prefix(
        &mut self,
        reader: &mut Reader,
    ) -> std::io::Result<[u8; FRAME_PREFIX_SIZE]> {
        loop {
            if let Some(prefix) = self.buffer.first_chunk::<FRAME_PREFIX_SIZE>() {
                return Ok(*prefix);
            }
            if reader.read(&mut self.buffer, READ_SIZE).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The frame of `size` bytes behind the prefix that [`FrameBuffer::prefix`] returned. Calls
    /// `went_on` whenever some of it has come.
    pub(super) async fn frame(
        &mut self,
        reader: &mut Reader,
        size: usize,
        went_on: impl Fn(),
    ) -> std::io::Result<Bytes> {
        let _prefix = self.buffer.split_to(FRAME_PREFIX_SIZE);
        if size > SHARED_FRAME_SIZE_MAX {
            let mut own = BytesMut::with_capacity(size);
            let arrived = self.buffer.split_to(size.min(self.buffer.len()));
            own.extend_from_slice(&arrived);
            if own.len() == size {
                return Ok(own.freeze());
            }
            self.buffer = own;
        }
        while self.buffer.len() < size {
            let read_max = if size > SHARED_FRAME_SIZE_MAX {
                size - self.buffer.len()
            } else {
                READ_SIZE
            };
            if reader.read(&mut self.buffer, read_max).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            went_on();
        }
        Ok(self.buffer.split_to(size).freeze())
    }
}

#[cfg(test)]
mod tests;
