//! Records of one stream, warm, on one core: stepping from one to the next, decoding all their fields, printing them.
//!
//! Throughput is in bytes of log file.

use criterion::{Criterion, Throughput};
use ese_log::{LogImage, RawRecord, RecordCursor};
use ese_testkit::fixtures;
use std::hint::black_box;

fn for_each_record(images: &[LogImage], mut each: impl FnMut(RawRecord<'_>)) {
    for image in images {
        let mut cursor = RecordCursor::new();
        while let Some(record) = cursor.next_record(image).expect("an undamaged log") {
            each(record);
        }
    }
}

fn main() {
    let state = fixtures::testdata_set("crash-p8k").join("state");
    let logs = fixtures::files_below(&state).into_iter();
    let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let images: Vec<LogImage> = logs.filter_map(|path| LogImage::read(&path).ok()).collect();
    let bytes: usize = images.iter().map(|image| image.bytes.len()).sum();

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("records");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("step", |bencher| {
        bencher.iter(|| {
            for_each_record(&images, |record| {
                black_box(record);
            });
        });
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            for_each_record(&images, |record| {
                let _ = black_box(record.decode());
            });
        });
    });
    group.bench_function("print", |bencher| {
        let mut text = String::new();
        bencher.iter(|| {
            for_each_record(&images, |record| {
                use std::fmt::Write;
                text.clear();
                let record = record.decode().expect("a record");
                write!(text, "{}", ese_text::record(&record)).expect("memory");
                black_box(&text);
            });
        });
    });
    group.finish();
    criterion.final_summary();
}
