//! Sources behind a network: SFTP, S3, Azure Blob, Google Cloud Storage, WebDAV, HTTP.
//!
//! | address | what it names |
//! |---|---|
//! | `sftp://[user@]host[:port]/path` | a file of a machine, through the `ssh` program and its configuration |
//! | `s3://bucket/key` | an object; region, endpoint and credentials as the AWS tools take them |
//! | `azblob://container/path` | a blob |
//! | `gcs://bucket/path` | an object; credentials as the Google tools take them |
//! | `webdav://host/path`, `webdavs://host/path` | a file, over HTTP or HTTPS |
//! | `http://host/path`, `https://host/path` | a file of a server that serves ranges |
//!
//! Whatever is secret (a password in an address, a key, a token) is used and never shown: a name is built from the
//! address without it, and it is cut out of every message of the layers below.

use crate::{ReadError, ReadErrorKind, Source, Stamp};
use jiff::Timestamp;
use opendal::{ErrorKind, Operator, services};
use std::sync::{Once, PoisonError, RwLock};
use tokio::runtime::Runtime;
use url::Url;

/// Bytes read at once: a round trip must not weigh.
const PIECE: usize = 4 << 20;

/// What an address does not say.
#[derive(Debug, Clone, Default)]
pub struct RemoteSettings {
    /// SFTP: the private key to use instead of those of the `ssh` configuration.
    pub identity: Option<String>,
    /// SFTP: what to do about a host that is not known: `strict`, `add` or `accept`.
    pub known_hosts: Option<String>,
    /// HTTP and WebDAV: the user, if the address names none.
    pub user: Option<String>,
    /// HTTP and WebDAV: the password.
    pub password: Option<String>,
    /// Azure: the storage account.
    pub account: Option<String>,
    /// Azure: its key.
    pub account_key: Option<String>,
    /// Azure: a shared access signature instead of the key.
    pub sas_token: Option<String>,
    /// S3, Google, Azure: the endpoint, if it is not that of the public cloud.
    pub endpoint: Option<String>,
}

/// A file behind a network.
pub struct RemoteSource {
    name: String,
    url: Url,
    path: String,
    settings: RemoteSettings,
    secrets: Vec<String>,
    /// Replaced after an error that may pass, with its connections.
    operator: RwLock<Operator>,
    runtime: Runtime,
    stamp: Stamp,
}

impl RemoteSource {
    /// Whether `text` is an address that [`Self::open`] takes.
    pub fn is_address(text: &str) -> bool {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        matches!(
            scheme,
            "sftp" | "s3" | "azblob" | "gcs" | "webdav" | "webdavs" | "http" | "https"
        )
    }

    /// The address as it may be shown: without anything secret.
    pub fn shown(address: &str) -> String {
        Url::parse(address).map_or_else(|_| "the address".into(), |url| shown(&url))
    }

    /// Connects, and asks what is there.
    pub fn open(address: &str, settings: RemoteSettings) -> Result<Self, ReadError> {
        initialise();
        let permanent = |why: String| ReadError::new(ReadErrorKind::Permanent, why);
        let url = Url::parse(address)
            .map_err(|error| permanent(format!("not an address of a file: {error}")))?;
        let secrets = secrets(&url, &settings);
        let path = percent_decoded(url.path().trim_start_matches('/'));
        let operator = operator(&url, &settings)
            .map_err(|error| permanent(without(&secrets, &error.to_string())))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| ReadError::from_io(&error))?;
        let mut source = RemoteSource {
            name: shown(&url),
            url,
            path,
            settings,
            secrets,
            operator: RwLock::new(operator),
            runtime,
            stamp: Stamp {
                length: 0,
                modified: None,
                tag: None,
            },
        };
        source.stamp = source.stamp_now()?;
        Ok(source)
    }

    fn operator(&self) -> Operator {
        self.operator
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the layers below report, as the copy takes it. After an error that may pass, new connections are made.
    fn read_error(&self, error: &opendal::Error) -> ReadError {
        let kind = match error.kind() {
            ErrorKind::NotFound => ReadErrorKind::Vanished,
            ErrorKind::ConditionNotMatch | ErrorKind::RangeNotSatisfied => ReadErrorKind::Changed,
            ErrorKind::Unexpected | ErrorKind::RateLimited => ReadErrorKind::Passing,
            _ if error.is_temporary() => ReadErrorKind::Passing,
            _ => ReadErrorKind::Permanent,
        };
        if kind == ReadErrorKind::Passing
            && let Ok(operator) = operator(&self.url, &self.settings)
        {
            *self
                .operator
                .write()
                .unwrap_or_else(PoisonError::into_inner) = operator;
        }
        ReadError::new(kind, without(&self.secrets, &error.to_string()))
    }
}

impl Source for RemoteSource {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    fn stamp_now(&self) -> Result<Stamp, ReadError> {
        let operator = self.operator();
        let metadata = self
            .runtime
            .block_on(operator.stat(&self.path))
            .map_err(|error| self.read_error(&error))?;
        if !metadata.is_file() {
            return Err(ReadError::new(
                ReadErrorKind::Permanent,
                "it is not a file; name one file",
            ));
        }
        Ok(Stamp {
            length: metadata.content_length(),
            modified: metadata.last_modified().map(Timestamp::from),
            tag: metadata.etag().map(str::to_owned),
        })
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let operator = self.operator();
        let needed = buffer.len() as u64;
        let mut request = operator
            .read_with(&self.path)
            .range(offset..offset + needed);
        // A weak tag is no promise about bytes, and servers do not compare it.
        if let Some(tag) = self
            .stamp
            .tag
            .as_deref()
            .filter(|tag| !tag.starts_with("W/"))
            && operator.info().capability().read_with_if_match
        {
            request = request.if_match(tag);
        }
        let bytes = self
            .runtime
            .block_on(async { request.await })
            .map_err(|error| self.read_error(&error))?;
        if bytes.len() as u64 != needed {
            let message = format!(
                "{} bytes came from offset {offset:#x}, {needed} were asked for",
                bytes.len()
            );
            return Err(ReadError::new(ReadErrorKind::Passing, message));
        }
        let mut filled = 0;
        for part in bytes {
            buffer[filled..filled + part.len()].copy_from_slice(&part);
            filled += part.len();
        }
        Ok(())
    }

    fn piece(&self) -> usize {
        PIECE
    }
}

/// What has to be set up once in a process: the HTTP client and its cryptography.
fn initialise() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        // Fails only if the process has chosen one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        opendal_http_transport_reqwest::install_default();
    });
}

fn operator(url: &Url, settings: &RemoteSettings) -> opendal::Result<Operator> {
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "s3" => {
            let builder = services::S3::default().bucket(host);
            Operator::new(match &settings.endpoint {
                Some(endpoint) => builder.endpoint(endpoint),
                None => builder,
            })
        }
        "gcs" => {
            let builder = services::Gcs::default().bucket(host);
            Operator::new(match &settings.endpoint {
                Some(endpoint) => builder.endpoint(endpoint),
                None => builder,
            })
        }
        "azblob" => Operator::new(azblob(host, settings)),
        "sftp" => sftp(url, settings),
        "webdav" | "webdavs" => {
            let mut builder = services::Webdav::default().endpoint(&endpoint(url));
            if let Some((user, password)) = login(url, settings) {
                builder = builder.username(&user).password(&password);
            }
            Operator::new(builder)
        }
        _ => {
            let mut builder = services::Http::default().endpoint(&endpoint(url));
            if let Some((user, password)) = login(url, settings) {
                builder = builder.username(&user).password(&password);
            }
            Operator::new(builder)
        }
    }
}

fn azblob(container: &str, settings: &RemoteSettings) -> services::Azblob {
    let mut builder = services::Azblob::default().container(container);
    if let Some(account) = &settings.account {
        let public = format!("https://{account}.blob.core.windows.net");
        let endpoint = settings.endpoint.as_deref().unwrap_or(&public);
        builder = builder.account_name(account).endpoint(endpoint);
    }
    if let Some(key) = &settings.account_key {
        builder = builder.account_key(key);
    }
    if let Some(token) = &settings.sas_token {
        builder = builder.sas_token(token);
    }
    builder
}

#[cfg(unix)]
fn sftp(url: &Url, settings: &RemoteSettings) -> opendal::Result<Operator> {
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    let mut builder = services::Sftp::default()
        .endpoint(&format!("ssh://{host}{port}"))
        .root("/");
    if !url.username().is_empty() {
        builder = builder.user(&percent_decoded(url.username()));
    }
    if let Some(identity) = &settings.identity {
        builder = builder.key(identity);
    }
    if let Some(known_hosts) = &settings.known_hosts {
        builder = builder.known_hosts_strategy(known_hosts);
    }
    Operator::new(builder)
}

#[cfg(not(unix))]
fn sftp(_url: &Url, _settings: &RemoteSettings) -> opendal::Result<Operator> {
    Err(opendal::Error::new(
        ErrorKind::Unsupported,
        "SFTP needs the ssh program of a Unix system; mount the share instead",
    ))
}

/// `http://host:port` of an HTTP or WebDAV address.
fn endpoint(url: &Url) -> String {
    let scheme = match url.scheme() {
        "https" | "webdavs" => "https",
        _ => "http",
    };
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    format!("{scheme}://{}{port}", url.host_str().unwrap_or_default())
}

fn login(url: &Url, settings: &RemoteSettings) -> Option<(String, String)> {
    let user = Some(url.username())
        .filter(|user| !user.is_empty())
        .map(percent_decoded)
        .or_else(|| settings.user.clone())?;
    let password = url
        .password()
        .map(percent_decoded)
        .or_else(|| settings.password.clone())
        .unwrap_or_default();
    Some((user, password))
}

/// The address without anything secret: no password, no query (which may hold a signature).
fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // Fails only for addresses that have no place for a password.
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.to_string()
}

fn secrets(url: &Url, settings: &RemoteSettings) -> Vec<String> {
    let in_url = url.password().map(str::to_owned);
    let decoded = in_url.as_deref().map(percent_decoded);
    let query = url.query().map(str::to_owned);
    let given = [
        &settings.password,
        &settings.account_key,
        &settings.sas_token,
    ];
    let given = given.into_iter().flatten().cloned();
    let all = [in_url, decoded, query].into_iter().flatten().chain(given);
    all.filter(|secret| !secret.is_empty()).collect()
}

fn without(secrets: &[String], message: &str) -> String {
    let cut = |message: String, secret: &String| message.replace(secret, "***");
    secrets.iter().fold(message.to_owned(), cut)
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_in_an_address_is_not_shown() {
        let url = Url::parse("https://anna:s%20ecret@host:8443/a%20b/x.edb?sig=abc#top").unwrap();
        assert_eq!(shown(&url), "https://anna@host:8443/a%20b/x.edb");
        let settings = RemoteSettings {
            account_key: Some("KEY".into()),
            ..RemoteSettings::default()
        };
        let message = "s%20ecret, s ecret, sig=abc, KEY";
        let shown = without(&secrets(&url, &settings), message);
        assert_eq!(shown, "***, ***, ***, ***");
        assert_eq!(endpoint(&url), "https://host:8443");
        let login = login(&url, &settings).unwrap();
        assert_eq!(login, ("anna".into(), "s ecret".into()));
    }

    #[test]
    fn addresses_are_told_from_paths() {
        for address in ["sftp://h/p", "s3://b/k", "https://h/p", "webdavs://h/p"] {
            assert!(RemoteSource::is_address(address), "{address}");
        }
        for path in ["/a/b", "C:\\x.edb", "ftp://h/p", "file", "a/s3://b"] {
            assert!(!RemoteSource::is_address(path), "{path}");
        }
    }
}
