//! Enums (manual, section 9.10). The bodies of `enum_first` and its kin take the type's OID as one more argument than their rows
//! here say: the analyzer appends it.
use super::super::procedures::{NULLS, STABLE, p};
use super::super::{Body, Procedure};
use crate::functions::{aggregate, compare, enums};
use crate::oid;
use Body::{Aggregate as A, Scalar as F};

#[rustfmt::skip]
pub static PROCEDURES: &[Procedure] = &[
    p(3508, "enum_eq", &[oid::ANYENUM, oid::ANYENUM], oid::BOOL, 0, F(compare::eq)),
    p(3509, "enum_ne", &[oid::ANYENUM, oid::ANYENUM], oid::BOOL, 0, F(compare::ne)),
    p(3510, "enum_lt", &[oid::ANYENUM, oid::ANYENUM], oid::BOOL, 0, F(compare::lt)),
    p(3511, "enum_gt", &[oid::ANYENUM, oid::ANYENUM], oid::BOOL, 0, F(compare::gt)),
    p(3512, "enum_le", &[oid::ANYENUM, oid::ANYENUM], oid::BOOL, 0, F(compare::le)),
    p(3513, "enum_ge", &[oid::ANYENUM, oid::ANYENUM], oid::BOOL, 0, F(compare::ge)),
    p(3514, "enum_cmp", &[oid::ANYENUM, oid::ANYENUM], oid::INT4, 0, F(enums::order)),
    p(3524, "enum_smaller", &[oid::ANYENUM, oid::ANYENUM], oid::ANYENUM, 0, F(enums::smaller)),
    p(3525, "enum_larger", &[oid::ANYENUM, oid::ANYENUM], oid::ANYENUM, 0, F(enums::larger)),
    p(3526, "max", &[oid::ANYENUM], oid::ANYENUM, NULLS, A(aggregate::maximum)),
    p(3527, "min", &[oid::ANYENUM], oid::ANYENUM, NULLS, A(aggregate::minimum)),
    p(3528, "enum_first", &[oid::ANYENUM], oid::ANYENUM, NULLS | STABLE, F(enums::first)),
    p(3529, "enum_last", &[oid::ANYENUM], oid::ANYENUM, NULLS | STABLE, F(enums::last)),
    p(3530, "enum_range", &[oid::ANYENUM, oid::ANYENUM], oid::ANYARRAY, NULLS | STABLE, F(enums::range)),
    p(3531, "enum_range", &[oid::ANYENUM], oid::ANYARRAY, NULLS | STABLE, F(enums::range)),
];
