//! One suite over both engines; then what only one of them can do wrong.
mod differential;
mod engines;
mod full;
mod rocks;
mod suite;
