//! Rows of `pg_proc`: Times with a time zone.
use super::super::procedures::{NULLS, STABLE, p};
use crate::functions::{aggregate, calendar, compare, datetime, internal, timetz};
use crate::oid;
use crate::registry::{Body, Procedure};
use Body::Aggregate as A;
use Body::Scalar as F;

#[rustfmt::skip]
pub static PROCEDURES: &[Procedure] = &[
    p(1271, "overlaps", &[oid::TIMETZ, oid::TIMETZ, oid::TIMETZ, oid::TIMETZ], oid::BOOL, NULLS, F(calendar::overlaps_ends)),
    p(1273, "date_part", &[oid::TEXT, oid::TIMETZ], oid::FLOAT8, 0, F(datetime::date_part)),
    p(1297, "datetimetz_pl", &[oid::DATE, oid::TIMETZ], oid::TIMESTAMPTZ, 0, F(timetz::date_plus)),
    p(1298, "timetzdate_pl", &[oid::TIMETZ, oid::DATE], oid::TIMESTAMPTZ, 0, F(timetz::plus_date)),
    p(1352, "timetz_eq", &[oid::TIMETZ, oid::TIMETZ], oid::BOOL, 0, F(compare::eq)),
    p(1353, "timetz_ne", &[oid::TIMETZ, oid::TIMETZ], oid::BOOL, 0, F(compare::ne)),
    p(1354, "timetz_lt", &[oid::TIMETZ, oid::TIMETZ], oid::BOOL, 0, F(compare::lt)),
    p(1355, "timetz_le", &[oid::TIMETZ, oid::TIMETZ], oid::BOOL, 0, F(compare::le)),
    p(1356, "timetz_ge", &[oid::TIMETZ, oid::TIMETZ], oid::BOOL, 0, F(compare::ge)),
    p(1357, "timetz_gt", &[oid::TIMETZ, oid::TIMETZ], oid::BOOL, 0, F(compare::gt)),
    p(1358, "timetz_cmp", &[oid::TIMETZ, oid::TIMETZ], oid::INT4, 0, F(internal::order)),
    p(1359, "timestamptz", &[oid::DATE, oid::TIMETZ], oid::TIMESTAMPTZ, 0, F(timetz::date_plus)),
    p(1379, "timetz_larger", &[oid::TIMETZ, oid::TIMETZ], oid::TIMETZ, 0, F(internal::larger)),
    p(1380, "timetz_smaller", &[oid::TIMETZ, oid::TIMETZ], oid::TIMETZ, 0, F(internal::smaller)),
    p(1388, "timetz", &[oid::TIMESTAMPTZ], oid::TIMETZ, STABLE, F(timetz::of_timestamptz)),
    p(1749, "timetz_pl_interval", &[oid::TIMETZ, oid::INTERVAL], oid::TIMETZ, 0, F(timetz::plus_interval)),
    p(1750, "timetz_mi_interval", &[oid::TIMETZ, oid::INTERVAL], oid::TIMETZ, 0, F(timetz::minus_interval)),
    p(1969, "timetz", &[oid::TIMETZ, oid::INT4], oid::TIMETZ, 0, F(timetz::rounded)),
    p(2037, "timezone", &[oid::TEXT, oid::TIMETZ], oid::TIMETZ, STABLE, F(timetz::in_zone)),
    p(2038, "timezone", &[oid::INTERVAL, oid::TIMETZ], oid::TIMETZ, 0, F(timetz::at_interval)),
    p(2046, "time", &[oid::TIMETZ], oid::TIME, 0, F(timetz::to_time)),
    p(2047, "timetz", &[oid::TIME], oid::TIMETZ, STABLE, F(timetz::of_time)),
    p(2124, "max", &[oid::TIMETZ], oid::TIMETZ, NULLS, A(aggregate::maximum)),
    p(2140, "min", &[oid::TIMETZ], oid::TIMETZ, NULLS, A(aggregate::minimum)),
    p(2547, "interval_pl_timetz", &[oid::INTERVAL, oid::TIMETZ], oid::TIMETZ, 0, F(timetz::interval_plus)),
    p(6201, "extract", &[oid::TEXT, oid::TIMETZ], oid::NUMERIC, 0, F(datetime::extract)),
];
