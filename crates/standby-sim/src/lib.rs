//! Histories of standby copies that nobody thought of: everything that is not `standby`'s own logic is simulated.
//!
//! A [`history`] is one number. From it follow a source whose engine writes real transactions ([`engine`], [`source`]), one or
//! two copies of it, a service and an operator on another machine ([`world`]) with a clock of its own ([`clock`]), and what goes
//! wrong: links that are cut or slow, logs that are locked, damaged or half there, a database that is dismounted, a source
//! that loses its newest work and goes another way, a disk that is full, slow or fails, processes that are killed and power
//! that is lost at any call, clocks that jump. After every event the [`laws`] must hold. At the end faults stop; every copy must become Healthy or say why not,
//! and what is restored from it must hold what the report says.
//!
//! The service is [`standby::service`], which `scr run` drives, too; orders are the functions behind the commands of `scr`.
//! What they write goes to the testkit's faulty disk, mirrored into a folder, where they read it.

#![forbid(unsafe_code)]

pub mod clock;
pub mod engine;
pub mod history;
pub mod laws;
pub mod source;
pub mod world;
