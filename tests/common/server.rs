//! Servers that run on this machine for a test, and the link to one of them.

use ese_testkit::fixtures;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A link to a server of this machine, which can be cut, and counts what comes from the server.
pub(crate) struct Link {
    pub(crate) port: u16,
    cut: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Link {
    pub(crate) fn to(server: u16) -> Link {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let link = Link {
            port: listener.local_addr().unwrap().port(),
            cut: Arc::default(),
            received: Arc::default(),
            open: Arc::default(),
        };
        let (cut, received, open) = (link.cut.clone(), link.received.clone(), link.open.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    continue;
                };
                if cut.load(Ordering::SeqCst) {
                    continue;
                }
                let mut open = open.lock().unwrap();
                open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                drop(open);
                let (up, down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let received = received.clone();
                std::thread::spawn(move || carry(up, server, &AtomicU64::new(0)));
                std::thread::spawn(move || carry(down, client, &received));
            }
        });
        link
    }

    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }

    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let mut buffer = [0; 1 << 16];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
        count.fetch_add(read as u64, Ordering::SeqCst);
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// A server process, ended with the test.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The first of `places` that exists.
pub(crate) fn installed(what: &str, places: &[&str]) -> PathBuf {
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{what} is not installed; .ci/servers installs it"))
}

/// A program that `.ci/servers` puts below `target`, or that the variable names.
pub(crate) fn installed_below(what: &str, place: &str, variable: &str) -> PathBuf {
    let here = fixtures::repository().join("target").join(place);
    let own = std::env::var(variable).unwrap_or_default();
    installed(what, &[&own, here.to_str().unwrap()])
}

pub(crate) fn start(mut command: Command, port: u16) -> Server {
    let process = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the server starts");
    let mut server = Server { process, port };
    let until = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "the server does not listen");
        let ended = server.process.try_wait().unwrap();
        assert!(ended.is_none(), "the server ended: {ended:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}

/// A plain HTTP request that has to succeed.
pub(crate) fn send(port: u16, method: &str, path: &str, headers: &str, body: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {}\r\n\
         {headers}Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1);
    assert_eq!(status, Some("200"), "{answer}");
}
