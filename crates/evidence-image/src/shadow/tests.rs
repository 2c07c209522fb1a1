//! Crafted volumes, and volumes whose whole history is known. The real one is in `not_shipped`.

pub(crate) mod craft;
mod damaged;
mod histories;
mod not_shipped;
mod rules;
