//! probe
use evidence::*;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
fn walk(p: &Path, base: &str) {
    let f = match folder(p) {
        Ok(f) => f,
        Err(e) => {
            println!("ERR {e}");
            return;
        }
    };
    let mut es = match f.entries() {
        Ok(e) => e,
        Err(e) => {
            println!("ERR {e}");
            return;
        }
    };
    es.sort();
    for e in es {
        let q = f.path_of(&e.name);
        let n = format!("{base}/{}", e.name.display());
        if e.name.to_string_lossy().starts_with('$') {
            continue;
        }
        if e.is_file {
            match EvidenceFile::open(&q) {
                Ok(file) => {
                    let mut b = Vec::new();
                    match Reading::new(Arc::clone(file.source())).read_to_end(&mut b) {
                        Ok(_) => {
                            use std::io::Write;
                            let mut c = std::process::Command::new("sha256sum")
                                .stdin(std::process::Stdio::piped())
                                .stdout(std::process::Stdio::piped())
                                .spawn()
                                .unwrap();
                            c.stdin.take().unwrap().write_all(&b).unwrap();
                            let o = c.wait_with_output().unwrap();
                            println!("{}  {n}", &String::from_utf8_lossy(&o.stdout)[..64]);
                        }
                        Err(e) => println!("ERR {n} {e}"),
                    }
                }
                Err(e) => println!("ERR {e}"),
            }
        } else {
            walk(&q, &n)
        }
    }
}
fn main() {
    evidence::mount(Arc::new(FilesWithin::new(vec![Arc::new(
        evidence_image::Images,
    )])));
    walk(Path::new(&std::env::args().nth(1).unwrap()), ".");
}
