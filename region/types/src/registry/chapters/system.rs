//! Rows of `pg_proc`: Sizes.
use super::super::procedures::{STABLE, p};
use crate::functions::{calendar, cast};
use crate::oid;
use crate::registry::{Body, Procedure};
use Body::Scalar as F;

#[rustfmt::skip]
pub static PROCEDURES: &[Procedure] = &[
    p(1269, "pg_column_size", &[oid::ANY], oid::INT4, STABLE, F(calendar::column_size)),
    p(3334, "pg_size_bytes", &[oid::TEXT], oid::INT8, 0, F(calendar::size_bytes)),
    // Ours: the oid of an integer's bits.
    p(9003, "trivet_oid", &[oid::INT4], oid::OID, 0, F(cast::to_oid)),
];
