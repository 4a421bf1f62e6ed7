//! Rows of `pg_proc`: Dates and times.
use super::super::procedures::{NULLS, STABLE, VOLATILE, p};
use crate::functions::{calendar, formatting};
use crate::oid;
use crate::registry::{Body, Procedure};
use Body::Scalar as F;

#[rustfmt::skip]
pub static PROCEDURES: &[Procedure] = &[
    p(274, "timeofday", &[], oid::TEXT, VOLATILE, F(calendar::time_of_day)),
    p(1026, "timezone", &[oid::INTERVAL, oid::TIMESTAMPTZ], oid::TIMESTAMP, 0, F(calendar::offset_of_timestamptz)),
    p(1176, "timestamptz", &[oid::DATE, oid::TIME], oid::TIMESTAMPTZ, STABLE, F(calendar::date_and_time_in_zone)),
    p(1218, "date_trunc", &[oid::TEXT, oid::INTERVAL], oid::INTERVAL, 0, F(calendar::truncate_interval)),
    p(1284, "date_trunc", &[oid::TEXT, oid::TIMESTAMPTZ, oid::TEXT], oid::TIMESTAMPTZ, STABLE, F(calendar::truncate_in_zone)),
    p(1296, "timedate_pl", &[oid::TIME, oid::DATE], oid::TIMESTAMP, 0, F(calendar::time_plus_date)),
    p(1304, "overlaps", &[oid::TIMESTAMPTZ, oid::TIMESTAMPTZ, oid::TIMESTAMPTZ, oid::TIMESTAMPTZ], oid::BOOL, NULLS, F(calendar::overlaps_ends)),
    p(1305, "overlaps", &[oid::TIMESTAMPTZ, oid::INTERVAL, oid::TIMESTAMPTZ, oid::INTERVAL], oid::BOOL, NULLS | STABLE, F(calendar::overlaps_zoned_lengths)),
    p(1306, "overlaps", &[oid::TIMESTAMPTZ, oid::TIMESTAMPTZ, oid::TIMESTAMPTZ, oid::INTERVAL], oid::BOOL, NULLS | STABLE, F(calendar::overlaps_zoned_end_length)),
    p(1307, "overlaps", &[oid::TIMESTAMPTZ, oid::INTERVAL, oid::TIMESTAMPTZ, oid::TIMESTAMPTZ], oid::BOOL, NULLS | STABLE, F(calendar::overlaps_zoned_length_end)),
    p(1308, "overlaps", &[oid::TIME, oid::TIME, oid::TIME, oid::TIME], oid::BOOL, NULLS, F(calendar::overlaps_ends)),
    p(1309, "overlaps", &[oid::TIME, oid::INTERVAL, oid::TIME, oid::INTERVAL], oid::BOOL, NULLS, F(calendar::overlaps_lengths)),
    p(1310, "overlaps", &[oid::TIME, oid::TIME, oid::TIME, oid::INTERVAL], oid::BOOL, NULLS, F(calendar::overlaps_end_length)),
    p(1311, "overlaps", &[oid::TIME, oid::INTERVAL, oid::TIME, oid::TIME], oid::BOOL, NULLS, F(calendar::overlaps_length_end)),
    p(1768, "to_char", &[oid::INTERVAL, oid::TEXT], oid::TEXT, STABLE, F(formatting::interval_to_char)),
    p(1770, "to_char", &[oid::TIMESTAMPTZ, oid::TEXT], oid::TEXT, STABLE, F(formatting::timestamptz_to_char)),
    p(1778, "to_timestamp", &[oid::TEXT, oid::TEXT], oid::TIMESTAMPTZ, STABLE, F(formatting::to_timestamp)),
    p(1780, "to_date", &[oid::TEXT, oid::TEXT], oid::DATE, STABLE, F(formatting::to_date)),
    p(1848, "interval_pl_time", &[oid::INTERVAL, oid::TIME], oid::TIME, 0, F(calendar::interval_plus_time)),
    p(2041, "overlaps", &[oid::TIMESTAMP, oid::TIMESTAMP, oid::TIMESTAMP, oid::TIMESTAMP], oid::BOOL, NULLS, F(calendar::overlaps_ends)),
    p(2042, "overlaps", &[oid::TIMESTAMP, oid::INTERVAL, oid::TIMESTAMP, oid::INTERVAL], oid::BOOL, NULLS, F(calendar::overlaps_lengths)),
    p(2043, "overlaps", &[oid::TIMESTAMP, oid::TIMESTAMP, oid::TIMESTAMP, oid::INTERVAL], oid::BOOL, NULLS, F(calendar::overlaps_end_length)),
    p(2044, "overlaps", &[oid::TIMESTAMP, oid::INTERVAL, oid::TIMESTAMP, oid::TIMESTAMP], oid::BOOL, NULLS, F(calendar::overlaps_length_end)),
    p(2049, "to_char", &[oid::TIMESTAMP, oid::TEXT], oid::TEXT, STABLE, F(formatting::timestamp_to_char)),
    p(2070, "timezone", &[oid::INTERVAL, oid::TIMESTAMP], oid::TIMESTAMPTZ, 0, F(calendar::offset_of_timestamp)),
    p(3462, "make_timestamptz", &[oid::INT4, oid::INT4, oid::INT4, oid::INT4, oid::INT4, oid::FLOAT8], oid::TIMESTAMPTZ, STABLE, F(calendar::make_timestamptz)),
    p(3463, "make_timestamptz", &[oid::INT4, oid::INT4, oid::INT4, oid::INT4, oid::INT4, oid::FLOAT8, oid::TEXT], oid::TIMESTAMPTZ, STABLE, F(calendar::make_timestamptz)),
    p(3464, "make_interval", &[oid::INT4, oid::INT4, oid::INT4, oid::INT4, oid::INT4, oid::INT4, oid::FLOAT8], oid::INTERVAL, 0, F(calendar::make_interval)),
    p(6177, "date_bin", &[oid::INTERVAL, oid::TIMESTAMP, oid::TIMESTAMP], oid::TIMESTAMP, 0, F(calendar::bin)),
    p(6178, "date_bin", &[oid::INTERVAL, oid::TIMESTAMPTZ, oid::TIMESTAMPTZ], oid::TIMESTAMPTZ, 0, F(calendar::bin)),
];
