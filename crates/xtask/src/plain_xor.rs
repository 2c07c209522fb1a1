//! The least a check of a file can do, to compare with: reading it and taking the plain exclusive or of its words.

use ese_checksum::header_checksum;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const BLOCK: usize = 1 << 20;

/// Prints the exclusive or of all words of the file.
pub(crate) fn print(path: &Path) -> Result<(), String> {
    let sum = of_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{sum:08x}");
    Ok(())
}

fn of_file(path: &Path) -> std::io::Result<u32> {
    let mut file = File::open(path)?;
    let mut block = vec![0; BLOCK];
    let mut sum = 0;
    loop {
        let read = file.read(&mut block)?;
        if read == 0 {
            return Ok(sum);
        }
        sum ^= header_checksum(&block[..read]);
    }
}
