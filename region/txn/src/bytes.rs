//! Reading and writing the bytes of records: little varints, counted byte strings, checked ends.
use crate::record::RecordError;
use bytes::Bytes;

/// LEB128, at most 10 bytes.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// A cursor over a record's bytes. Slices share the record's buffer.
pub(crate) struct Reader {
    bytes: Bytes,
    at: usize,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Reader {
        Reader { bytes, at: 0 }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn byte(&mut self) -> Result<u8, RecordError> {
        let byte = *self.bytes.get(self.at).ok_or(RecordError::Truncated)?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, RecordError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                return Err(RecordError::Malformed("a number has more than 64 bits"));
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RecordError::Malformed("a number has more than 10 bytes"))
    }

    /// A count of things that take at least `each` bytes: never larger than the rest can hold.
    pub(crate) fn count(&mut self, each: usize) -> Result<usize, RecordError> {
        let count = self.varint()?;
        if count > (self.remaining() / each) as u64 { Err(RecordError::Truncated) } else { Ok(count as usize) }
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, RecordError> {
        let length = self.count(1)?;
        let slice = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(slice)
    }

    /// Exactly this many bytes.
    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, RecordError> {
        if length > self.remaining() {
            return Err(RecordError::Truncated);
        }
        let slice = self.bytes.slice(self.at..self.at + length);
        self.at += length;
        Ok(slice)
    }

    pub(crate) fn end(&self) -> Result<(), RecordError> {
        if self.remaining() == 0 { Ok(()) } else { Err(RecordError::Malformed("bytes are left over")) }
    }
}
