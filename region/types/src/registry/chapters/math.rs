//! Rows of `pg_proc`: Mathematics.
use super::super::procedures::{VOLATILE, p};
use crate::functions::trigonometry;
use crate::oid;
use crate::registry::{Body, Procedure};
use Body::Scalar as F;

#[rustfmt::skip]
pub static PROCEDURES: &[Procedure] = &[
    p(320, "width_bucket", &[oid::FLOAT8, oid::FLOAT8, oid::FLOAT8, oid::INT4], oid::INT4, 0, F(trigonometry::width_bucket_float)),
    p(1599, "setseed", &[oid::FLOAT8], oid::VOID, VOLATILE, F(trigonometry::set_seed)),
    p(2170, "width_bucket", &[oid::NUMERIC, oid::NUMERIC, oid::NUMERIC, oid::INT4], oid::INT4, 0, F(trigonometry::width_bucket_numeric)),
    p(2465, "asinh", &[oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::inverse_hyperbolic_sine)),
    p(2466, "acosh", &[oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::inverse_hyperbolic_cosine)),
    p(2467, "atanh", &[oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::inverse_hyperbolic_tangent)),
    p(2731, "asind", &[oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::arc_sine_degrees)),
    p(2732, "acosd", &[oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::arc_cosine_degrees)),
    p(2733, "atand", &[oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::arc_tangent_degrees)),
    p(2734, "atan2d", &[oid::FLOAT8, oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::arc_tangent_of_quotient_degrees)),
    p(2735, "sind", &[oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::sine_degrees)),
    p(2736, "cosd", &[oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::cosine_degrees)),
    p(2737, "tand", &[oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::tangent_degrees)),
    p(2738, "cotd", &[oid::FLOAT8], oid::FLOAT8, 0, F(trigonometry::cotangent_degrees)),
    p(3218, "width_bucket", &[oid::ANYCOMPATIBLE, oid::ANYCOMPATIBLEARRAY], oid::INT4, 0, F(trigonometry::width_bucket_array)),
    p(5048, "gcd", &[oid::NUMERIC, oid::NUMERIC], oid::NUMERIC, 0, F(trigonometry::numeric_gcd)),
    p(5049, "lcm", &[oid::NUMERIC, oid::NUMERIC], oid::NUMERIC, 0, F(trigonometry::numeric_lcm)),
];
