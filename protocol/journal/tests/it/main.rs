//! The journal through its life, through crashes, and on damaged and full disks.
mod common;
mod crash;
mod damage;
mod full;
mod life;
