//! What the tests of this crate share.

#![allow(dead_code)]

pub(crate) mod cases;
pub(crate) mod compare;
pub(crate) mod crashes;
pub(crate) mod history;
pub(crate) mod model;
pub(crate) mod recover;
pub(crate) mod steps;
pub(crate) mod streams;
