//! The functions, by chapter of the manual; `procedures` has those that came first.
mod aggregate;
mod array;
mod catalog;
mod enums;
mod json;
mod math;
mod system;
mod text;
mod time;

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
];
