//! All programs, by name and where they were built.

pub(crate) const PROGRAMS: [(&str, &str); 5] = [
    ("edbcopy", env!("CARGO_BIN_EXE_edbcopy")),
    ("edbreplay", env!("CARGO_BIN_EXE_edbreplay")),
    ("edbtool", env!("CARGO_BIN_EXE_edbtool")),
    ("logchain", env!("CARGO_BIN_EXE_logchain")),
    ("scr", env!("CARGO_BIN_EXE_scr")),
];
