//! Rows of `pg_proc`: Arrays.
use super::super::procedures::{NULLS, VARIADIC, p};
use crate::functions::{array, set};
use crate::oid;
use crate::registry::{Body, Procedure};
use Body::{Scalar as F, Set as S};

#[rustfmt::skip]
pub static PROCEDURES: &[Procedure] = &[
    p(747, "array_dims", &[oid::ANYARRAY], oid::TEXT, 0, F(array::bounds_text)),
    p(1191, "generate_subscripts", &[oid::ANYARRAY, oid::INT4, oid::BOOL], oid::INT4, 0, S(set::subscripts_either_way)),
    p(1193, "array_fill", &[oid::ANYELEMENT, oid::INT4_ARRAY], oid::ANYARRAY, NULLS, F(array::fill)),
    p(1286, "array_fill", &[oid::ANYELEMENT, oid::INT4_ARRAY, oid::INT4_ARRAY], oid::ANYARRAY, NULLS, F(array::fill)),
    // Ours: an array, a value, the element's type, pairs of bounds.
    p(9006, "trivet_array_set", &[oid::ANY], oid::ANYARRAY, NULLS | VARIADIC, F(array::set_element)),
    p(9007, "trivet_array_set_slice", &[oid::ANY], oid::ANYARRAY, NULLS | VARIADIC, F(array::set_slice)),
    // Ours: several arrays side by side.
    p(9005, "trivet_unnest", &[oid::ANY], oid::RECORD, NULLS | VARIADIC, S(set::unnest_together)),
];
