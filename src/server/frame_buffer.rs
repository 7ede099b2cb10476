//! Reading frames from a connection without copying what was read.

use bytes::{Bytes, BytesMut};

use crate::io::Reader;
use crate::protocol::FRAME_PREFIX_SIZE;

/// What is read at once as long as frames are small; several small requests then cost one read.
const READ_SIZE: usize = 64 << 10;

/// Frames above this size get memory of their own, exactly as large as they are: nothing of the
/// next request lands behind them, and what the log keeps of them pins nothing else.
const SHARED_FRAME_SIZE_MAX: usize = 16 << 10;

/// The bytes of one connection that were read and not yet handed out.
#[derive(Default)]
pub(super) struct FrameBuffer {
    buffer: BytesMut,
}

impl FrameBuffer {
    pub(super) fn new() -> FrameBuffer {
        FrameBuffer::default()
    }

    /// Whether a frame has begun to arrive.
    pub(super) fn is_mid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The size prefix of the next frame, unchecked; `None` at the end of the stream between
    /// two frames.
    pub(super) async fn next_prefix(
        &mut self,
        reader: &mut Reader,
    ) -> std::io::Result<Option<[u8; FRAME_PREFIX_SIZE]>> {
        while self.buffer.len() < FRAME_PREFIX_SIZE {
            if self.buffer.capacity() - self.buffer.len() < FRAME_PREFIX_SIZE {
                self.buffer.reserve(READ_SIZE);
            }
            let room = self.buffer.capacity() - self.buffer.len();
            if reader.read(&mut self.buffer, room).await? == 0 {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let prefix = self
            .buffer
            .first_chunk::<FRAME_PREFIX_SIZE>()
            .expect("just read");
        Ok(Some(*prefix))
    }

    /// The frame of `size` bytes behind the prefix that [`FrameBuffer::next_prefix`] returned.
    pub(super) async fn frame(
        &mut self,
        reader: &mut Reader,
        size: usize,
    ) -> std::io::Result<Bytes> {
        let _prefix = self.buffer.split_to(FRAME_PREFIX_SIZE);
        let missing = size.saturating_sub(self.buffer.len());
        let room = self.buffer.capacity() - self.buffer.len();
        if size > SHARED_FRAME_SIZE_MAX && missing > 0 {
            let mut own = BytesMut::with_capacity(size);
            own.extend_from_slice(&self.buffer);
            self.buffer = own;
        } else if missing > room {
            self.buffer.reserve(missing.max(READ_SIZE));
        }
        while self.buffer.len() < size {
            let missing = size - self.buffer.len();
            let room = self.buffer.capacity() - self.buffer.len();
            let read_max = if size > SHARED_FRAME_SIZE_MAX {
                missing
            } else {
                room
            };
            if reader.read(&mut self.buffer, read_max).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.split_to(size).freeze())
    }
}
