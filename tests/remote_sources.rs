//! Real servers on this machine: what is read from them, a copy whose link is cut in the middle, and what travels over it.
//!
//! The servers are installed by `.ci/servers`.
#![cfg(feature = "remote")]

mod common;
#[path = "common/server.rs"]
mod server;

use common::stdout;
use ese_testkit::fixtures;
use server::{Link, Server, free_port, installed, installed_below, send, start};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PAGE: usize = 4096;
const LENGTH: u64 = 24 << 20;

/// A clean database and a storage group that a crash left, in a folder to be served, and a place for copies.
struct Served {
    folder: TempDir,
    /// The content of `mail box.edb`; the storage group lies in `group`.
    bytes: Vec<u8>,
}

impl Served {
    fn new() -> Served {
        let mut bytes = fs::read(fixtures::testdata_set("clean-p4k").join("state/db.edb")).unwrap();
        bytes.truncate(2 * PAGE);
        bytes.resize(LENGTH as usize, 0);
        for (number, page) in bytes.chunks_exact_mut(PAGE).enumerate().skip(2) {
            let noise = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            page[80..88].copy_from_slice(&noise.to_le_bytes());
            assert!(ese_checksum::seal_page(page, number as u32 - 1));
        }
        let folder = TempDir::new().unwrap();
        let served = Served { folder, bytes };
        let group = served.path("served/group");
        fs::create_dir_all(&group).unwrap();
        fs::write(served.path("served/mail box.edb"), &served.bytes).unwrap();
        for (name, bytes) in storage_group() {
            fs::write(group.join(name), bytes).unwrap();
        }
        served
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Copies both: the group in one go, the database over a link that is cut.
    fn copy_both(&self, [group, database]: [&str; 2], link: &Link, reach: Reach<'_>) {
        copy_the_group(group, self, reach);
        read_the_group_where_it_is(group, self, reach);
        cut_and_resume(database, self, link, reach);
    }
}

fn storage_group() -> Vec<(String, Vec<u8>)> {
    let set = fixtures::testdata_set("crash-p8k").join("state");
    let file = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read(path).unwrap())
    };
    fixtures::files_below(&set).into_iter().map(file).collect()
}

/// How a server is reached, besides by an address.
#[derive(Default, Clone, Copy)]
struct Reach<'a> {
    options: &'a [&'a str],
    variables: &'a [(&'a str, &'a str)],
}

/// Copies the storage group at `address`, a folder, in one go.
fn copy_the_group(address: &str, served: &Served, reach: Reach<'_>) {
    let to = served.path("group");
    let mut arguments = vec!["copy", "--allow-dirty", address, to.to_str().unwrap()];
    arguments.extend(reach.options);
    let mut command = edbcopy(&arguments);
    let output = command
        .envs(reach.variables.iter().copied())
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{message}");
    for (name, bytes) in storage_group() {
        assert!(fs::read(to.join(&name)).unwrap() == bytes, "{name} differs");
    }
    fs::remove_dir_all(to).unwrap();
}

/// The programs that read say the same of the storage group at `address` as of the one in a folder here.
fn read_the_group_where_it_is(address: &str, served: &Served, reach: Reach<'_>) {
    let here = served.path("served/group").display().to_string();
    let there = address.trim_end_matches('/').replace(":hunter2@", "@");
    let programs = [
        (
            env!("CARGO_BIN_EXE_logchain"),
            "verify GROUP --db GROUP/db.edb",
        ),
        (env!("CARGO_BIN_EXE_logchain"), "stat GROUP"),
        (env!("CARGO_BIN_EXE_logchain"), "header GROUP/edb0000D.log"),
        (env!("CARGO_BIN_EXE_edbreplay"), "plan --logs GROUP"),
        (env!("CARGO_BIN_EXE_edbtool"), "header GROUP/db.edb"),
        (env!("CARGO_BIN_EXE_edbtool"), "verify GROUP/db.edb"),
        (
            env!("CARGO_BIN_EXE_edbtool"),
            "tables GROUP/db.edb --with-logs --logs GROUP",
        ),
    ];
    let asked = |program: &str, arguments: &[String]| {
        let mut command = Command::new(program);
        with_credentials(&mut command).args(arguments).arg("--json");
        for option in reach.options {
            let (name, value) = option.trim_start_matches("--").split_once('=').unwrap();
            let name = name.to_uppercase().replace('-', "_");
            command.env(format!("EDBCOPY_{name}"), value);
        }
        command
            .envs(reach.variables.iter().copied())
            .output()
            .unwrap()
    };
    for (program, arguments) in programs {
        let run = |place: &str| {
            let place = place.trim_end_matches('/');
            let words = arguments.split(' ');
            let words: Vec<String> = words.map(|word| word.replace("GROUP", place)).collect();
            asked(program, &words)
        };
        let (local, remote) = (run(&here), run(address));
        let message = String::from_utf8_lossy(&remote.stderr);
        assert_eq!(
            remote.status.code(),
            local.status.code(),
            "{program} {arguments}: {message}"
        );
        nothing_secret(message.as_bytes(), reach);
        nothing_secret(&remote.stdout, reach);
        let as_there = stdout(&local).replace(&here, &there);
        assert_eq!(
            stdout(&remote),
            as_there,
            "{program} {arguments}: {message}"
        );
    }
    let (place, rows) = (address.trim_end_matches('/'), served.path("rows"));
    let export = format!("export {place}/db.edb --with-logs={place} --to");
    let mut words: Vec<String> = export.split(' ').map(str::to_owned).collect();
    words.push(rows.display().to_string());
    let output = asked(env!("CARGO_BIN_EXE_edbtool"), &words);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{message}");
    assert!(rows.join("manifest.json").is_file());
    for file in fixtures::files_below(&rows) {
        nothing_secret(&fs::read(file).unwrap(), reach);
    }
    fs::remove_dir_all(rows).unwrap();
}

fn edbcopy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edbcopy"));
    with_credentials(&mut command).args(arguments);
    command
}

fn with_credentials(command: &mut Command) -> &mut Command {
    command
        .env("AWS_ACCESS_KEY_ID", "anna")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("EDBCOPY_USER", "anna")
        .env("EDBCOPY_PASSWORD", "hunter2")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
}

#[track_caller]
fn document(output: &Output) -> serde_json::Value {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{message}");
    serde_json::from_str(stdout(output).lines().next().expect("one document")).unwrap()
}

/// Copies from `address`; cuts the link twice on the way: once for good, so that the copy ends and has to be started
/// again, and once for a moment, so that it goes on by itself. Then brings an older copy up to date by a manifest.
fn cut_and_resume(address: &str, served: &Served, link: &Link, reach: Reach<'_>) {
    let target = served.path("copy.edb");
    let target_text = target.to_str().unwrap();
    let run = |extra: &[&str]| {
        let mut arguments = vec!["copy", address, target_text, "--json", "--chunk=256KiB"];
        arguments.extend(reach.options);
        arguments.extend(extra);
        let mut command = edbcopy(&arguments);
        command.envs(reach.variables.iter().copied());
        command
    };
    let slow = run(&["--rate=8MiB/s", "--retries=1"]).spawn().unwrap();
    wait_for(&target, 2 << 20);
    link.cut();
    let output = slow.wait_with_output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{message}");
    nothing_secret(message.as_bytes(), reach);
    assert!(!target.exists());

    link.mend();
    let before = arrived(&target);
    let received = link.received();
    let slow = run(&["--rate=8MiB/s", "--retries=20"]).spawn().unwrap();
    wait_for(&target, 12 << 20);
    link.cut();
    std::thread::sleep(Duration::from_millis(600));
    link.mend();
    let report = document(&slow.wait_with_output().unwrap());
    assert_eq!(report["resumed_at"], before);
    assert_eq!(report["bytes_read"], LENGTH - before);
    assert!(report["reads_retried"].as_u64().unwrap() > 0);
    assert!(
        link.received() - received < LENGTH,
        "what had arrived travelled again"
    );
    assert!(fs::read(&target).unwrap() == served.bytes);
    let journal = fs::read(served.path("copy.edb.edbcopy")).unwrap();
    nothing_secret(&journal, reach);
    delta_by_manifest(served, link, &run);
}

fn delta_by_manifest(served: &Served, link: &Link, run: &dyn Fn(&[&str]) -> Command) {
    let manifest = served.path("source.json");
    let source = served.path("served/mail box.edb");
    let (manifest, source) = (manifest.to_str().unwrap(), source.to_str().unwrap());
    let made = edbcopy(&["manifest", source, "--chunk=64KiB", "--output", manifest]).output();
    assert!(made.unwrap().status.success());
    let target = served.path("copy.edb");
    let mut old = served.bytes.clone();
    for page in [100, 3000, 3001, 5000] {
        old[page * PAGE + 500] ^= 1;
    }
    fs::write(&target, old).unwrap();
    fs::remove_file(served.path("copy.edb.edbcopy")).unwrap();
    let received = link.received();
    let delta = run(&["--delta", "--source-manifest", manifest])
        .output()
        .unwrap();
    let report = document(&delta);
    assert_eq!(report["pages"]["changed"], 4);
    // Three blocks of 64 KiB hold the four pages.
    assert_eq!(report["bytes_read"], 3 * 65536);
    assert!(
        link.received() - received < 1 << 20,
        "more than the blocks travelled"
    );
    assert!(fs::read(&target).unwrap() == served.bytes);
}

fn arrived(target: &Path) -> u64 {
    let output = edbcopy(&["status", "--json", target.to_str().unwrap()])
        .output()
        .unwrap();
    let document: serde_json::Value = serde_json::from_str(stdout(&output).trim()).unwrap();
    document["bytes_arrived"].as_u64().unwrap()
}

fn wait_for(target: &Path, bytes: u64) {
    let until = Instant::now() + Duration::from_secs(60);
    while arrived(target) < bytes {
        assert!(Instant::now() < until, "the copy does not move");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What the copy wrote holds no password and no key.
#[track_caller]
fn nothing_secret(written: &[u8], reach: Reach<'_>) {
    let keys = reach
        .variables
        .iter()
        .filter(|(name, _)| name.ends_with("KEY"));
    for secret in keys.map(|(_, key)| *key).chain(["hunter2"]) {
        let holds = written
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!holds, "{}", String::from_utf8_lossy(written));
    }
}

/// OpenSSH on a port of its own, for a key that was made for it.
struct Sftp {
    server: Server,
    folder: PathBuf,
}

impl Sftp {
    fn start(served: &Served) -> Sftp {
        let sshd = installed("OpenSSH's server", &["/usr/sbin/sshd"]);
        let at = |name: &str| served.path(name);
        for key in ["host", "client"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(at(key))
                .status();
            assert!(made.unwrap().success());
        }
        let port = free_port();
        let configuration = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {host}\nAuthorizedKeysFile {client}.pub\n\
             StrictModes no\nPermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\n",
            host = at("host").display(),
            client = at("client").display(),
        );
        fs::write(at("sshd.conf"), configuration).unwrap();
        // The place for its unprivileged part; the package's service makes it, when that runs.
        let _ = fs::create_dir_all("/run/sshd");
        let mut command = Command::new(sshd);
        command.arg("-D").arg("-f").arg(at("sshd.conf"));
        Sftp {
            server: start(command, port),
            folder: served.folder.path().to_owned(),
        }
    }

    fn identity(&self) -> String {
        self.folder.join("client").display().to_string()
    }

    /// The address of what is served, through a link on this port.
    fn address(&self, port: u16) -> String {
        let user = Command::new("id").arg("-un").output().unwrap();
        let (user, folder) = (stdout(&user), self.folder.display());
        format!("sftp://{}@127.0.0.1:{port}{folder}/served", user.trim())
    }
}

#[test]
#[ignore = "needs OpenSSH"]
fn from_an_sftp_server() {
    let served = Served::new();
    let sftp = Sftp::start(&served);
    let link = Link::to(sftp.server.port);
    let address = sftp.address(link.port);
    let identity = format!("--identity={}", sftp.identity());
    let reach = Reach {
        options: &[identity.as_str(), "--known-hosts=accept"],
        ..Reach::default()
    };
    let group = format!("{address}/group");
    let database = format!("{address}/mail%20box.edb");
    served.copy_both([&group, &database], &link, reach);
}

/// A standby copy of a storage group at an address: seeded, shipped, and shipped again after the link was cut.
#[test]
#[ignore = "needs OpenSSH"]
fn a_standby_copy_from_an_sftp_server() {
    let served = Served::new();
    let sftp = Sftp::start(&served);
    let link = Link::to(sftp.server.port);
    let group = format!("{}/group", sftp.address(link.port));
    let config = served.path("scr.toml");
    let identity = sftp.identity();
    let service = format!(
        "state = \"state\"\n[service]\nretry = \"0\"\nremote = {{ identity = {identity:?}, known_hosts = \"accept\" }}\n"
    );
    fs::write(&config, service).unwrap();
    let scr = |exit: i32, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_scr"));
        command.arg("--config").arg(&config).args(arguments);
        let output = command.arg("--json").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
        let last = stdout(&output).lines().last().map(str::to_owned);
        serde_json::from_str::<serde_json::Value>(&last.unwrap_or_default()).unwrap_or_default()
    };
    let here = served.path("exb");
    let (logs, database) = (here.to_str().unwrap(), here.join("db.edb"));
    let copied = ["--logs", logs, "--database", database.to_str().unwrap()];
    let from = format!("{group}/db.edb");
    let source = ["--source-logs", &group, "--source-database", &from];
    let names = [
        "enable",
        "SG1",
        "--source",
        "EXA",
        "--standby",
        "EXB",
        "--base",
        "edb",
    ];
    let enable = [&names[..], &source, &copied, &["--seeding-postponed"]].concat();
    scr(0, &enable);
    // In use, as far as its header tells.
    scr(5, &["update", "SG1"]);
    scr(0, &["update", "SG1", "--not-in-use"]);
    link.cut();
    let status = scr(1, &["run", "--once"]);
    assert_eq!(status["trouble"]["kind"], "source_unreachable", "{status}");
    link.mend();
    let status = scr(1, &["run", "--once"]);
    assert_eq!(status["inspected"]["generation"], 22, "{status}");
    // The database still needs the log that is the current one at its source.
    let health = scr(1, &["check"]);
    let failed = health["checks"].as_array().unwrap().iter();
    let failed: Vec<_> = failed.filter(|check| check["passed"] == false).collect();
    let names: Vec<_> = failed.iter().map(|check| check["check"].as_str()).collect();
    assert_eq!(
        names,
        [Some("CopyFailed"), Some("DatabaseSeeded")],
        "{health}"
    );
    for (name, bytes) in storage_group() {
        let path = here.join(&name);
        assert!(
            !path.exists() || fs::read(path).unwrap() == bytes,
            "{name} differs"
        );
    }
    assert!(here.join("edb0000D.log").exists() && !here.join("edb.log").exists());
}

/// nginx on a port of its own, serving `folder/served`; with `tls`, under a certificate for 127.0.0.1.
struct Web {
    nginx: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Web {
    fn new(served: &Served, tls: bool) -> Web {
        let nginx = installed("nginx", &["/usr/sbin/nginx"]);
        let port = free_port();
        let here = served.folder.path().display();
        let (ssl, keys) = match tls {
            true => (
                " ssl",
                format!("ssl_certificate {here}/tls.pem; ssl_certificate_key {here}/tls.key;"),
            ),
            false => ("", String::new()),
        };
        let configuration = format!(
            "daemon off;\nmaster_process off;\npid {here}/nginx.pid;\nerror_log {here}/nginx.log;\n\
             events {{}}\n\
             http {{ access_log off; client_body_temp_path {here}/body; proxy_temp_path {here}/proxy;\n\
             fastcgi_temp_path {here}/fastcgi; uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;\n\
             server {{ listen 127.0.0.1:{port}{ssl}; {keys} root {here}/served; }} }}\n"
        );
        fs::write(served.path("nginx.conf"), configuration).unwrap();
        Web {
            nginx,
            folder: served.folder.path().to_owned(),
            port,
        }
    }

    fn start(&self) -> Server {
        let mut command = Command::new(&self.nginx);
        command.arg("-e").arg(self.folder.join("nginx.log"));
        command.arg("-c").arg(self.folder.join("nginx.conf"));
        start(command, self.port)
    }
}

#[test]
#[ignore = "needs nginx"]
fn from_a_web_server() {
    let served = Served::new();
    let web = Web::new(&served, false);
    let server = web.start();
    let link = Link::to(server.port);
    let base = format!("http://anna:hunter2@127.0.0.1:{}", link.port);
    let target = served.path("group");
    let listed = edbcopy(&["copy", &format!("{base}/group/"), target.to_str().unwrap()]);
    let output = { listed }.output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(
        message.contains("group/") && !message.contains("hunter2"),
        "{message}"
    );
    let database = format!("{base}/mail%20box.edb");
    cut_and_resume(&database, &served, &link, Reach::default());
}

#[test]
#[ignore = "needs nginx"]
fn from_a_web_server_that_is_stopped_and_started_again() {
    let served = Served::new();
    let web = Web::new(&served, false);
    let address = format!("http://127.0.0.1:{}/mail%20box.edb", web.port);
    let target = served.path("copy.edb");
    let run = |retries: &str| {
        let target = target.to_str().unwrap();
        let chunk = "--chunk=256KiB";
        edbcopy(&[
            "copy",
            &address,
            target,
            "--json",
            chunk,
            "--rate=8MiB/s",
            retries,
        ])
        .spawn()
        .unwrap()
    };
    let server = web.start();
    let copy = run("--retries=1");
    wait_for(&target, 2 << 20);
    drop(server);
    assert_eq!(copy.wait_with_output().unwrap().status.code(), Some(3));
    // Away for a while, so that the copy goes on by itself; and then for good, to be started again.
    let before = arrived(&target);
    let server = web.start();
    let copy = run("--retries=20");
    wait_for(&target, 8 << 20);
    drop(server);
    std::thread::sleep(Duration::from_secs(1));
    let _server = web.start();
    let report = document(&copy.wait_with_output().unwrap());
    assert_eq!(report["resumed_at"], before);
    assert_eq!(report["bytes_read"], LENGTH - before);
    assert!(fs::read(&target).unwrap() == served.bytes);
}

#[test]
#[ignore = "needs nginx"]
fn from_a_web_server_with_encryption() {
    let served = Served::new();
    let web = Web::new(&served, true);
    let (key, certificate) = (served.path("tls.key"), served.path("tls.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    let server = web.start();
    let address = format!("https://127.0.0.1:{}/mail%20box.edb", server.port);
    let target = served.path("copy.edb");
    let copy = || {
        edbcopy(&[
            "copy",
            &address,
            target.to_str().unwrap(),
            "--json",
            "--retries=0",
        ])
    };
    // A certificate that nobody vouches for is not accepted.
    let refused = copy().output().unwrap();
    assert_eq!(refused.status.code(), Some(3));
    let trusted = copy().env("SSL_CERT_FILE", certificate).output().unwrap();
    document(&trusted);
    assert!(fs::read(&target).unwrap() == served.bytes);
}

#[test]
#[ignore = "needs WsgiDAV"]
fn from_a_webdav_server() {
    let wsgidav = installed_below("wsgidav", "python/bin/wsgidav", "EDBKIT_WSGIDAV");
    let served = Served::new();
    let port = free_port();
    let mut command = Command::new(wsgidav);
    command.args([
        "--host=127.0.0.1",
        "--auth=anonymous",
        "--server=cheroot",
        "--no-config",
    ]);
    command
        .arg(format!("--port={port}"))
        .arg("--root")
        .arg(served.path("served"));
    let server = start(command, port);
    let link = Link::to(server.port);
    let base = format!("webdav://anna:hunter2@127.0.0.1:{}", link.port);
    let group = format!("{base}/group/");
    let database = format!("{base}/mail%20box.edb");
    served.copy_both([&group, &database], &link, Reach::default());
}

#[test]
#[ignore = "needs moto"]
fn from_an_s3_store() {
    let moto = installed_below(
        "moto_server",
        "python/bin/moto_server",
        "EDBKIT_MOTO_SERVER",
    );
    let served = Served::new();
    let port = free_port();
    let mut command = Command::new(moto);
    command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
    let server = start(command, port);
    let signed = "Authorization: AWS4-HMAC-SHA256 Credential=anna/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n";
    let put = |path: &str, body: &[u8]| send(server.port, "PUT", path, signed, body);
    put("/mail", &[]);
    put("/mail/store/mail%20box.edb", &served.bytes);
    for (name, bytes) in storage_group() {
        put(&format!("/mail/store/group/{name}"), &bytes);
    }
    let link = Link::to(server.port);
    let endpoint = format!("--endpoint=http://127.0.0.1:{}", link.port);
    let reach = Reach {
        options: &[endpoint.as_str()],
        ..Reach::default()
    };
    let database = "s3://mail/store/mail%20box.edb";
    served.copy_both(["s3://mail/store/group/", database], &link, reach);
}

#[test]
#[ignore = "needs gcp-storage-emulator"]
fn from_google_cloud_storage() {
    let place = "python/bin/gcp-storage-emulator";
    let emulator = installed_below("gcp-storage-emulator", place, "EDBKIT_GCS_EMULATOR");
    let served = Served::new();
    let port = free_port();
    let mut command = Command::new(emulator);
    command.args(["start", "--in-memory", "--host=127.0.0.1"]);
    command.arg(format!("--port={port}"));
    let server = start(command, port);
    let json = "Content-Type: application/json\r\n";
    let bucket = br#"{"name": "mail"}"#;
    send(
        server.port,
        "POST",
        "/storage/v1/b?project=test",
        json,
        bucket,
    );
    let put = |name: &str, body: &[u8]| {
        let path = format!("/upload/storage/v1/b/mail/o?uploadType=media&name=store/{name}");
        let kind = "Content-Type: application/octet-stream\r\n";
        send(server.port, "POST", &path, kind, body);
    };
    put("mail%20box.edb", &served.bytes);
    for (name, bytes) in storage_group() {
        put(&format!("group/{name}"), &bytes);
    }
    let link = Link::to(server.port);
    let host = format!("http://127.0.0.1:{}", link.port);
    let reach = Reach {
        variables: &[("STORAGE_EMULATOR_HOST", host.as_str())],
        ..Reach::default()
    };
    let database = "gcs://mail/store/mail%20box.edb";
    served.copy_both(["gcs://mail/store/group/", database], &link, reach);
}

#[test]
#[ignore = "needs azurite"]
fn from_azure() {
    let place = "node/node_modules/.bin/azurite-blob";
    let azurite = installed_below("azurite", place, "EDBKIT_AZURITE");
    /// The account that the emulator comes with.
    const KEY: &str =
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
    let served = Served::new();
    let port = free_port();
    let mut command = Command::new(azurite);
    command.args([
        "--blobHost",
        "127.0.0.1",
        "--silent",
        "--skipApiVersionCheck",
    ]);
    command.arg("--blobPort").arg(port.to_string());
    command.arg("--location").arg(served.path("azurite"));
    let server = start(command, port);
    let script = fixtures::repository().join("tests/put_blobs.py");
    let put = Command::new("python3")
        .arg(script)
        .args([&server.port.to_string(), KEY])
        .arg(served.path("served"))
        .status();
    assert!(put.unwrap().success());
    let link = Link::to(server.port);
    let endpoint = format!("--endpoint=http://127.0.0.1:{}/devstoreaccount1", link.port);
    let reach = Reach {
        options: &[endpoint.as_str()],
        variables: &[
            ("AZURE_STORAGE_ACCOUNT", "devstoreaccount1"),
            ("AZURE_STORAGE_KEY", KEY),
        ],
    };
    let database = "azblob://mail/mail%20box.edb";
    served.copy_both(["azblob://mail/group/", database], &link, reach);
}
