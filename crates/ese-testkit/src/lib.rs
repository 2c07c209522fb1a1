//! What edbkit's tests share: reference fixtures and the means to damage or craft files.
//!
//! Tests only. Nothing here is part of a program, so it panics where a test should fail.

#![forbid(unsafe_code)]

pub mod accident;
pub mod campaign;
pub mod cases;
pub mod damage;
pub mod disk;
pub mod dump;
pub mod fixtures;
pub mod growing;
pub mod ledger;
pub mod logs;
pub mod random;
pub mod recreated;
pub mod rows;
pub mod scaled;
pub mod shadow;
pub mod volume;
pub mod work;
pub mod writer;
