//! Two regions on one scripted log: transcripts of what each rule is for, with the crate's real parts.
mod pair;
mod transcripts;
