//! The functions, by chapter of the manual; `procedures` has those that came first.
mod aggregate;
mod array;
mod bits;
mod catalog;
mod enums;
mod internal;
mod io;
mod json;
mod math;
mod system;
mod text;
mod time;
mod timetz;

use super::Procedure;
use super::procedures::PROCEDURES;

/// All tables of functions.
pub(super) static CHAPTERS: &[&[Procedure]] = &[
    PROCEDURES,
    json::PROCEDURES,
    math::PROCEDURES,
    text::PROCEDURES,
    time::PROCEDURES,
    aggregate::PROCEDURES,
    array::PROCEDURES,
    catalog::PROCEDURES,
    enums::PROCEDURES,
    system::PROCEDURES,
    bits::PROCEDURES,
    timetz::PROCEDURES,
    internal::PROCEDURES,
    io::PROCEDURES,
];
