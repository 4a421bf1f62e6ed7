//! COPY's binary format (PostgreSQL's manual, COPY, "Binary Format").
//!
//! ```text
//!   "PGCOPY\n" 0xff "\r\n" 0   flags (4)   bytes of an extension (4), the extension
//!   fields (2)  { length (4, -1: NULL), bytes } ...                              a row
//!   -1 (2)                                                                       the end
//! ```
use bytes::{Buf, BufMut, Bytes, BytesMut};
use trivet_types::{PgError, PgResult, sqlstate};

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
const HEADER_BYTES: usize = SIGNATURE.len() + 8;
/// Row ids were sent along, before PostgreSQL 12.
const FLAG_OIDS: u32 = 1 << 16;
/// Flags that a reader must know.
const FLAGS_CRITICAL: u32 = 0xffff_0000;
/// A field is held in memory whole.
const FIELD_BYTES_MAX: usize = 1 << 30;

pub fn write_binary_header(out: &mut BytesMut) {
    out.put_slice(SIGNATURE);
    out.put_u64(0);
}

pub fn write_binary_end(out: &mut BytesMut) {
    out.put_i16(-1);
}

/// From the client's bytes, in chunks of any size, to rows of fields.
#[derive(Debug, Default)]
pub struct BinaryReader {
    buffer: BytesMut,
    begun: bool,
    ended: bool,
    input_ended: bool,
    rows: u64,
}

fn bad(message: impl Into<String>) -> Box<PgError> {
    PgError::new(sqlstate::BAD_COPY_FILE_FORMAT, message)
}

impl BinaryReader {
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// No more data comes.
    pub fn finish(&mut self) {
        self.input_ended = true;
    }

    /// The row that `next_row` gave last, from 1.
    pub fn line(&self) -> u64 {
        self.rows
    }

    fn more<T>(&self) -> PgResult<Option<T>> {
        if self.input_ended { Err(bad("unexpected EOF in COPY data")) } else { Ok(None) }
    }

    /// `false`: it is not all there yet.
    fn header(&mut self) -> PgResult<bool> {
        let known = self.buffer.len().min(SIGNATURE.len());
        if self.buffer[..known] != SIGNATURE[..known] || (self.input_ended && known < SIGNATURE.len()) {
            return Err(bad("COPY file signature not recognized"));
        }
        if self.buffer.len() < HEADER_BYTES {
            return if self.input_ended { Err(bad("invalid COPY file header (missing length)")) } else { Ok(false) };
        }
        let mut rest = &self.buffer[SIGNATURE.len()..];
        let (flags, extension) = (rest.get_u32(), rest.get_i32());
        if flags & FLAG_OIDS != 0 {
            return Err(bad("invalid COPY file header (WITH OIDS)"));
        }
        if flags & FLAGS_CRITICAL != 0 {
            return Err(bad("unrecognized critical flags in COPY file header"));
        }
        let extension = usize::try_from(extension).map_err(|_| bad("invalid COPY file header (missing length)"))?;
        if rest.len() < extension {
            return if self.input_ended { Err(bad("invalid COPY file header (wrong length)")) } else { Ok(false) };
        }
        self.buffer.advance(HEADER_BYTES + extension);
        self.begun = true;
        Ok(true)
    }

    /// The next row; `None`: there is none, or its end has not come yet.
    pub fn next_row(&mut self, columns: usize) -> PgResult<Option<Vec<Option<Bytes>>>> {
        if !self.begun && !self.header()? {
            return Ok(None);
        }
        if self.ended {
            return if self.buffer.is_empty() { Ok(None) } else { Err(bad("received copy data after EOF marker")) };
        }
        if self.buffer.is_empty() && self.input_ended {
            return Ok(None);
        }
        let mut rest = &self.buffer[..];
        if rest.len() < 2 {
            return self.more();
        }
        let count = rest.get_i16();
        if count == -1 {
            self.buffer.advance(2);
            self.ended = true;
            return self.next_row(columns);
        }
        self.rows += 1;
        if usize::try_from(count).ok() != Some(columns) {
            return Err(bad(format!("row field count is {count}, expected {columns}")));
        }
        // Found first, taken then: a row may be cut anywhere.
        let mut ends = Vec::with_capacity(columns);
        for _ in 0..columns {
            if rest.len() < 4 {
                self.rows -= 1;
                return self.more();
            }
            let length = rest.get_i32();
            if length < -1 {
                return Err(bad("invalid field size"));
            }
            let Ok(length) = usize::try_from(length) else {
                ends.push(None);
                continue;
            };
            if length > FIELD_BYTES_MAX {
                return Err(bad("invalid field size"));
            }
            if rest.len() < length {
                self.rows -= 1;
                return self.more();
            }
            rest.advance(length);
            ends.push(Some(length));
        }
        self.buffer.advance(2);
        let field = |length: Option<usize>| {
            self.buffer.advance(4);
            length.map(|length| self.buffer.split_to(length).freeze())
        };
        Ok(Some(ends.into_iter().map(field).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> BytesMut {
        let mut data = BytesMut::new();
        write_binary_header(&mut data);
        for (left, right) in [(&b"ab"[..], None), (b"", Some(&b"xyz"[..]))] {
            data.put_i16(2);
            data.put_i32(left.len() as i32);
            data.put_slice(left);
            data.put_i32(right.map_or(-1, |right| right.len() as i32));
            data.put_slice(right.unwrap_or_default());
        }
        write_binary_end(&mut data);
        data
    }

    #[test]
    fn rows_come_out_as_they_went_in_whatever_the_chunks() {
        for chunk in 1..40 {
            let (mut reader, mut rows) = (BinaryReader::default(), Vec::new());
            for part in data().chunks(chunk) {
                reader.push(part);
                while let Some(row) = reader.next_row(2).expect("good data") {
                    rows.push(row);
                }
            }
            reader.finish();
            assert_eq!(reader.next_row(2).expect("the end"), None);
            let of = |text: &'static str| Some(Bytes::from(text));
            assert_eq!(rows, [vec![of("ab"), None], vec![of(""), of("xyz")]]);
            assert_eq!(reader.line(), 2);
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        let whole = data();
        let error = |bytes: &[u8], columns: usize| {
            let mut reader = BinaryReader::default();
            reader.push(bytes);
            reader.finish();
            loop {
                match reader.next_row(columns) {
                    Ok(Some(_)) => {}
                    Ok(None) => return String::new(),
                    Err(error) => return error.message,
                }
            }
        };
        assert_eq!(error(b"PGCOPX", 2), "COPY file signature not recognized");
        assert_eq!(error(&whole[..30], 2), "unexpected EOF in COPY data");
        assert_eq!(error(&whole, 3), "row field count is 2, expected 3");
        assert_eq!(error(&whole, 2), "");
        let mut more = whole.clone();
        more.put_u8(0);
        assert_eq!(error(&more, 2), "received copy data after EOF marker");
        for end in 0..whole.len() {
            // Whatever is cut off, it is an error or the end.
            let _ = error(&whole[..end], 2);
        }
    }
}
