//! Sources on a network: SFTP, S3, Azure Blob, Google Cloud Storage, WebDAV, HTTP.
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
//! With a `/` at its end an address names a folder; HTTP has no way to list one. All files of a folder share one
//! client and its connections.
//!
//! Whatever is secret (a password in an address, a key, a token) is used and never shown: a name is built from the
//! address without it, and it is cut out of every message of the layers below.

mod store;

use crate::{FolderEntry, ReadError, ReadErrorKind, Source, SourceFolder, Stamp};
use jiff::Timestamp;
use opendal::{ErrorKind, Metadata, Operator};
use std::ffi::OsStr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use store::{initialise, operator, percent_decoded, secrets, shown, without};
use tokio::runtime::Runtime;
use url::Url;

/// Bytes read at once: a round trip must not weigh.
const PIECE: usize = 4 << 20;
/// How long to wait for an answer that is no data.
const PATIENCE: Duration = Duration::from_secs(60);

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
    /// Google: the endpoint of an emulator, which wants no credentials.
    pub emulator: Option<String>,
}

impl RemoteSettings {
    /// Credentials from the variables in which the tools of each service look for them, and from `EDBCOPY_USER` and
    /// `EDBCOPY_PASSWORD`. Those of S3 and Google are found by the client itself, those of SFTP by ssh.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| get(name).filter(|value| !value.is_empty());
        RemoteSettings {
            user: given("EDBCOPY_USER"),
            password: given("EDBCOPY_PASSWORD"),
            account: given("AZURE_STORAGE_ACCOUNT"),
            account_key: given("AZURE_STORAGE_KEY"),
            sas_token: given("AZURE_STORAGE_SAS_TOKEN"),
            emulator: given("STORAGE_EMULATOR_HOST"),
            ..RemoteSettings::default()
        }
    }
}

/// What an address names.
pub enum RemotePlace {
    /// A file.
    File(RemoteSource),
    /// A folder.
    Folder(RemoteFolder),
}

impl RemotePlace {
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

    /// The name of the file that an address names, as a file here would be called.
    pub fn file_name(address: &str) -> Option<String> {
        let url = Url::parse(address).ok()?;
        let name = percent_decoded(url.path().rsplit('/').next()?);
        let plain = !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "..";
        plain.then_some(name)
    }

    /// Connects, and asks what is there.
    pub fn open(address: &str, settings: RemoteSettings) -> Result<Self, ReadError> {
        let store = Arc::new(Store::connect(address, settings)?);
        let path = percent_decoded(store.url.path().trim_start_matches('/'));
        let name = shown(&store.url);
        let by_name = path.is_empty() || path.ends_with('/');
        let metadata = if by_name {
            None
        } else {
            Some(store.stat(&path)?)
        };
        let Some(metadata) = metadata.filter(|found| !found.is_dir()) else {
            let slash = if by_name { "" } else { "/" };
            return Ok(RemotePlace::Folder(RemoteFolder {
                store,
                path: path + slash,
                name: name + slash,
            }));
        };
        let stamp = stamp_of(&metadata);
        Ok(RemotePlace::File(RemoteSource {
            store,
            path,
            name,
            stamp,
        }))
    }
}

/// The client of one store, shared by all that is read there.
struct Store {
    url: Url,
    settings: RemoteSettings,
    secrets: Vec<String>,
    /// Replaced after an error that may pass, with its connections.
    operator: RwLock<Operator>,
    runtime: Runtime,
}

impl Store {
    fn connect(address: &str, settings: RemoteSettings) -> Result<Self, ReadError> {
        initialise();
        let permanent = |why: String| ReadError::new(ReadErrorKind::Permanent, why);
        let url =
            Url::parse(address).map_err(|error| permanent(format!("not an address: {error}")))?;
        let secrets = secrets(&url, &settings);
        let operator = operator(&url, &settings)
            .map_err(|error| permanent(without(&secrets, &told(&error))))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| ReadError::from_io(&error))?;
        Ok(Store {
            url,
            settings,
            secrets,
            operator: RwLock::new(operator),
            runtime,
        })
    }

    fn operator(&self) -> Operator {
        self.operator
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn stat(&self, path: &str) -> Result<Metadata, ReadError> {
        let operator = self.operator();
        self.ask(operator.stat(path))
    }

    /// Waits for an answer, but not for ever.
    fn ask<T>(&self, question: impl Future<Output = opendal::Result<T>>) -> Result<T, ReadError> {
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, question).await });
        match answer {
            Ok(answer) => answer.map_err(|error| self.read_error(&error)),
            Err(_) => {
                let message = format!("no answer within {} seconds", PATIENCE.as_secs());
                Err(ReadError::new(ReadErrorKind::Passing, message))
            }
        }
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
        ReadError::new(kind, without(&self.secrets, &told(error)))
    }
}

/// What a layer below reports, and why, without the names of its own parts.
fn told(error: &opendal::Error) -> String {
    let mut text = match error.kind() {
        ErrorKind::Unexpected => error.message().to_owned(),
        kind => format!("{kind}: {}", error.message()),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(because) = cause {
        text.push_str(": ");
        text.push_str(&because.to_string());
        cause = because.source();
    }
    text
}

fn stamp_of(metadata: &Metadata) -> Stamp {
    Stamp {
        length: metadata.content_length(),
        modified: metadata.last_modified().map(Timestamp::from),
        tag: metadata.etag().map(str::to_owned),
    }
}

/// A file on a network.
pub struct RemoteSource {
    store: Arc<Store>,
    path: String,
    name: String,
    stamp: Stamp,
}

impl Source for RemoteSource {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    fn stamp_now(&self) -> Result<Stamp, ReadError> {
        let metadata = self.store.stat(&self.path)?;
        if !metadata.is_file() {
            return Err(ReadError::new(
                ReadErrorKind::Permanent,
                "it is not a file any more",
            ));
        }
        Ok(stamp_of(&metadata))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        let operator = self.store.operator();
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
            .store
            .runtime
            .block_on(async { request.await })
            .map_err(|error| self.store.read_error(&error))?;
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

/// A folder on a network, or the objects of a store whose keys begin alike.
pub struct RemoteFolder {
    store: Arc<Store>,
    /// Empty, or with `/` at its end.
    path: String,
    name: String,
}

impl RemoteFolder {
    /// The address of a file in it, for people.
    fn name_of(&self, file: &str) -> String {
        let mut url = self.store.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(file);
        }
        shown(&url)
    }
}

impl SourceFolder for RemoteFolder {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, ReadError> {
        let operator = self.store.operator();
        let listed = self.store.ask(operator.list(&self.path))?;
        // Some stores list the folder itself as an entry.
        let inside = listed.iter().filter(|entry| entry.path() != self.path);
        let entry = |entry: &opendal::Entry| FolderEntry {
            name: entry.name().trim_end_matches('/').into(),
            is_file: entry.metadata().is_file(),
        };
        Ok(inside.map(entry).collect())
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn Source>, ReadError> {
        let name = name.to_string_lossy();
        let path = format!("{}{name}", self.path);
        let metadata = self.store.stat(&path)?;
        if !metadata.is_file() {
            let why = "it is not a file";
            return Err(ReadError::new(ReadErrorKind::Permanent, why));
        }
        Ok(Arc::new(RemoteSource {
            store: Arc::clone(&self.store),
            name: self.name_of(&name),
            path,
            stamp: stamp_of(&metadata),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_as_at_its_store_but_never_leaves_its_folder() {
        let name = |address| RemotePlace::file_name(address);
        assert_eq!(name("sftp://h/a%20b/c%20d.edb").as_deref(), Some("c d.edb"));
        for address in [
            "s3://b/x%2F..%2Fy",
            "s3://b/a%5Cb",
            "s3://b/",
            "https://h",
            "x",
        ] {
            assert_eq!(name(address), None, "{address}");
        }
    }

    #[test]
    fn addresses_are_told_from_paths() {
        for address in ["sftp://h/p", "s3://b/k", "https://h/p", "webdavs://h/p"] {
            assert!(RemotePlace::is_address(address), "{address}");
        }
        for path in ["/a/b", "C:\\x.edb", "ftp://h/p", "file", "a/s3://b"] {
            assert!(!RemotePlace::is_address(path), "{path}");
        }
    }
}
