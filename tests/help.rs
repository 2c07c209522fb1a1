//! What every program says of itself: `--help` of each program and command, as people read it.

#[test]
fn help_reads_as_written_down() {
    trycmd::TestCases::new().case("tests/cmd/*.trycmd");
}
