//! COPY's formats: bytes from the client to fields, fields to bytes. Pure; knows no table.
//!
//! PostgreSQL's manual, page COPY, "File Formats". Binary is not there yet.
mod binary;
mod options;
mod read;
mod write;

pub use binary::{BinaryReader, write_binary_end, write_binary_header};
pub use options::{CopyFormat, CopyOptions, ForcedColumns};
pub use read::{Fields, RowReader};
pub use write::{write_header, write_row};

#[cfg(test)]
mod tests;
