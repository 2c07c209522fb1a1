//! How fast the disk in an image is read: `read_speed THREADS IMAGE...`.

use evidence::EvidenceFile;
use evidence_image::container;
use std::time::Instant;

const PIECE: usize = 1 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let threads: u64 = arguments.next().ok_or("how many threads?")?.parse()?;
    for path in arguments {
        let image = container::open(&EvidenceFile::open(&path)?)?.ok_or("not an image")?;
        let length = image.bytes.stamp().length;
        let mut best = f64::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            // Each reads its share from start to end.
            let share = length.div_ceil(threads);
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    let bytes = &image.bytes;
                    scope.spawn(move || {
                        let mut buffer = vec![0; PIECE];
                        let end = ((thread + 1) * share).min(length);
                        let mut at = thread * share;
                        while at < end {
                            let read = bytes.read_at(&mut buffer, at).expect("it can be read");
                            at += read as u64;
                        }
                    });
                }
            });
            best = best.min(start.elapsed().as_secs_f64());
        }
        let rate = length as f64 / best / 1e6;
        println!("{rate:8.0} MB/s  {:10} {path}", image.kind);
    }
    Ok(())
}
