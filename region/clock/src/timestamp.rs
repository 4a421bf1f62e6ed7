//! A commit timestamp: physical nanoseconds and a counter that tells equal ones apart.
//!
//! ```text
//!  0                 8          12
//!  +-----------------+----------+
//!  | physical, u64be | logical, |   order of the bytes = order of the stamps
//!  |                 | u32be    |
//!  +-----------------+----------+
//! ```

/// The largest logical part that is ever given or believed.
pub const LOGICAL_MAX: u32 = 1 << 24;

/// Physical parts end in the year 2262.
pub const PHYSICAL_MAX: u64 = i64::MAX as u64;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct HlcTimestamp {
    /// Nanoseconds since 1970.
    pub physical: u64,
    pub logical: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TimestampError {
    #[error("logical part {0} of a timestamp is above its bound")]
    LogicalTooLarge(u32),
    #[error("physical part {0} of a timestamp is above its bound")]
    PhysicalTooLarge(u64),
    #[error("a timestamp has {0} bytes instead of 12")]
    Length(usize),
}

impl HlcTimestamp {
    pub const LENGTH: usize = 12;

    pub fn to_bytes(self) -> [u8; HlcTimestamp::LENGTH] {
        let mut bytes = [0; HlcTimestamp::LENGTH];
        bytes[..8].copy_from_slice(&self.physical.to_be_bytes());
        bytes[8..].copy_from_slice(&self.logical.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<HlcTimestamp, TimestampError> {
        let bytes: &[u8; HlcTimestamp::LENGTH] = bytes.try_into().map_err(|_| TimestampError::Length(bytes.len()))?;
        let (physical, logical) = bytes.split_at(8);
        HlcTimestamp {
            physical: u64::from_be_bytes(physical.try_into().expect("split at 8")),
            logical: u32::from_be_bytes(logical.try_into().expect("12 bytes split at 8")),
        }
        .checked()
    }

    /// Itself, if its logical part is one that a guarded clock can have given.
    pub fn checked(self) -> Result<HlcTimestamp, TimestampError> {
        if self.physical > PHYSICAL_MAX {
            return Err(TimestampError::PhysicalTooLarge(self.physical));
        }
        // One above the bound: observing at the bound counts on by one.
        if self.logical > LOGICAL_MAX + 1 {
            return Err(TimestampError::LogicalTooLarge(self.logical));
        }
        Ok(self)
    }
}

impl std::fmt::Display for HlcTimestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}+{}", self.physical, self.logical)
    }
}
