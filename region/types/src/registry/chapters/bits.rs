//! Rows of `pg_proc`: Bit strings.
use super::super::procedures::{NULLS, p};
use crate::functions::{bits, compare, internal, string};
use crate::oid;
use crate::registry::{Body, Procedure};
use Body::Aggregate as A;
use Body::Scalar as F;

#[rustfmt::skip]
pub static PROCEDURES: &[Procedure] = &[
    p(1581, "biteq", &[oid::BIT, oid::BIT], oid::BOOL, 0, F(compare::eq)),
    p(1582, "bitne", &[oid::BIT, oid::BIT], oid::BOOL, 0, F(compare::ne)),
    p(1592, "bitge", &[oid::BIT, oid::BIT], oid::BOOL, 0, F(compare::ge)),
    p(1593, "bitgt", &[oid::BIT, oid::BIT], oid::BOOL, 0, F(compare::gt)),
    p(1594, "bitle", &[oid::BIT, oid::BIT], oid::BOOL, 0, F(compare::le)),
    p(1595, "bitlt", &[oid::BIT, oid::BIT], oid::BOOL, 0, F(compare::lt)),
    p(1596, "bitcmp", &[oid::BIT, oid::BIT], oid::INT4, 0, F(internal::order)),
    p(1666, "varbiteq", &[oid::VARBIT, oid::VARBIT], oid::BOOL, 0, F(compare::eq)),
    p(1667, "varbitne", &[oid::VARBIT, oid::VARBIT], oid::BOOL, 0, F(compare::ne)),
    p(1668, "varbitge", &[oid::VARBIT, oid::VARBIT], oid::BOOL, 0, F(compare::ge)),
    p(1669, "varbitgt", &[oid::VARBIT, oid::VARBIT], oid::BOOL, 0, F(compare::gt)),
    p(1670, "varbitle", &[oid::VARBIT, oid::VARBIT], oid::BOOL, 0, F(compare::le)),
    p(1671, "varbitlt", &[oid::VARBIT, oid::VARBIT], oid::BOOL, 0, F(compare::lt)),
    p(1672, "varbitcmp", &[oid::VARBIT, oid::VARBIT], oid::INT4, 0, F(internal::order)),
    p(1673, "bitand", &[oid::BIT, oid::BIT], oid::BIT, 0, F(bits::and)),
    p(1674, "bitor", &[oid::BIT, oid::BIT], oid::BIT, 0, F(bits::or)),
    p(1675, "bitxor", &[oid::BIT, oid::BIT], oid::BIT, 0, F(bits::xor)),
    p(1676, "bitnot", &[oid::BIT], oid::BIT, 0, F(bits::not)),
    p(1677, "bitshiftleft", &[oid::BIT, oid::INT4], oid::BIT, 0, F(bits::shift_left)),
    p(1678, "bitshiftright", &[oid::BIT, oid::INT4], oid::BIT, 0, F(bits::shift_right)),
    p(1679, "bitcat", &[oid::VARBIT, oid::VARBIT], oid::VARBIT, 0, F(string::concatenate)),
    p(1680, "substring", &[oid::BIT, oid::INT4, oid::INT4], oid::BIT, 0, F(bits::substring)),
    p(1681, "length", &[oid::BIT], oid::INT4, 0, F(bits::length)),
    p(1682, "octet_length", &[oid::BIT], oid::INT4, 0, F(bits::octet_length)),
    p(1683, "bit", &[oid::INT4, oid::INT4], oid::BIT, 0, F(bits::of_integer)),
    p(1684, "int4", &[oid::BIT], oid::INT4, 0, F(bits::to_int4)),
    p(1685, "bit", &[oid::BIT, oid::INT4, oid::BOOL], oid::BIT, 0, F(bits::sized_bit)),
    p(1687, "varbit", &[oid::VARBIT, oid::INT4, oid::BOOL], oid::VARBIT, 0, F(bits::sized_varbit)),
    p(1698, "position", &[oid::BIT, oid::BIT], oid::INT4, 0, F(bits::position)),
    p(1699, "substring", &[oid::BIT, oid::INT4], oid::BIT, 0, F(bits::substring)),
    p(1812, "bit_length", &[oid::BIT], oid::INT4, 0, F(bits::length)),
    p(2075, "bit", &[oid::INT8, oid::INT4], oid::BIT, 0, F(bits::of_integer)),
    p(2076, "int8", &[oid::BIT], oid::INT8, 0, F(bits::to_int8)),
    p(2242, "bit_and", &[oid::BIT], oid::BIT, NULLS, A(bits::all_and)),
    p(2243, "bit_or", &[oid::BIT], oid::BIT, NULLS, A(bits::all_or)),
    p(3030, "overlay", &[oid::BIT, oid::BIT, oid::INT4, oid::INT4], oid::BIT, 0, F(bits::overlay)),
    p(3031, "overlay", &[oid::BIT, oid::BIT, oid::INT4], oid::BIT, 0, F(bits::overlay)),
    p(3032, "get_bit", &[oid::BIT, oid::INT4], oid::INT4, 0, F(bits::bit_at)),
    p(3033, "set_bit", &[oid::BIT, oid::INT4, oid::INT4], oid::BIT, 0, F(bits::with_bit)),
    p(6162, "bit_count", &[oid::BIT], oid::INT8, 0, F(bits::count)),
    p(6167, "bit_xor", &[oid::BIT], oid::BIT, NULLS, A(bits::all_xor)),
];
