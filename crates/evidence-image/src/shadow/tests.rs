//! Crafted volumes, and volumes whose whole history is known. The real one is in `not_shipped`.

mod craft;
mod damaged;
mod histories;
mod not_shipped;
mod rules;
