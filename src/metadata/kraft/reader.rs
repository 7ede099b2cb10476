//! The fields of a flexible message, none longer than the bytes that are there.

use super::record::KraftError;

/// The rest of a message.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, size: usize) -> Result<&'a [u8], KraftError> {
        let (taken, rest) = self.0.split_at_checked(size).ok_or(KraftError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], KraftError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(KraftError::Truncated)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, KraftError> {
        self.array().map(|[byte]| byte != 0)
    }

    pub(super) fn i8(&mut self) -> Result<i8, KraftError> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, KraftError> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, KraftError> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn id(&mut self) -> Result<[u8; 16], KraftError> {
        self.array()
    }

    pub(super) fn unsigned(&mut self) -> Result<u32, KraftError> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value).map_err(|_| KraftError::Invalid("a number"));
            }
        }
        Err(KraftError::Invalid("a number"))
    }

    /// Size + 1 and the bytes; 0 is null.
    pub(super) fn optional_bytes(&mut self) -> Result<Option<&'a [u8]>, KraftError> {
        match self.unsigned()? {
            0 => Ok(None),
            size => self.take(size as usize - 1).map(Some),
        }
    }

    pub(super) fn optional_string(&mut self) -> Result<Option<&'a str>, KraftError> {
        let bytes = self.optional_bytes()?;
        let text = bytes.map(std::str::from_utf8).transpose();
        text.map_err(|_| KraftError::Invalid("a text"))
    }

    pub(super) fn string(&mut self) -> Result<&'a str, KraftError> {
        let text = self.optional_string()?;
        text.ok_or(KraftError::Invalid("a text that is null"))
    }

    /// Count + 1 and the elements; `None` is null. Nothing is reserved: an element takes a byte.
    pub(super) fn optional_list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, KraftError>,
    ) -> Result<Option<Vec<T>>, KraftError> {
        match self.unsigned()? {
            0 => Ok(None),
            count => (1..count)
                .map(|_| element(self))
                .collect::<Result<_, _>>()
                .map(Some),
        }
    }

    pub(super) fn list<T>(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<T, KraftError>,
    ) -> Result<Vec<T>, KraftError> {
        let list = self.optional_list(element)?;
        list.ok_or(KraftError::Invalid("a list that is null"))
    }

    /// The tagged fields that end a message; each is given with its bytes.
    pub(super) fn tagged(
        &mut self,
        mut field: impl FnMut(u32, Reader<'a>) -> Result<(), KraftError>,
    ) -> Result<(), KraftError> {
        for _ in 0..self.unsigned()? {
            let tag = self.unsigned()?;
            let size = self.unsigned()? as usize;
            field(tag, Reader(self.take(size)?))?;
        }
        Ok(())
    }

    /// The end of a message without tagged fields that matter; nothing may follow.
    pub(super) fn end(&mut self) -> Result<(), KraftError> {
        self.tagged(|_, _| Ok(()))?;
        match self.0.len() {
            0 => Ok(()),
            left => Err(KraftError::TrailingBytes(left)),
        }
    }
}
