//! What an address names.

use crate::keyring;
use crate::store::{initialise, operator, percent_decoded, secrets, shown, without};
use evidence::{
    EvidenceError, FolderEntry, ReadError, ReadErrorKind, SourceFile, SourceFolder, Stamp,
};
use jiff::Timestamp;
use opendal::{ErrorKind, Metadata, Operator};
use std::ffi::OsStr;
use std::fmt::{self, Debug, Formatter};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::runtime::Runtime;
use url::Url;

/// Bytes read at once: a round trip must not weigh.
const PIECE: usize = 4 << 20;
/// How long to wait for an answer that is no data.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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
    /// How long to wait for data; for ever if `None`. Other answers are always waited for no longer than a minute.
    pub patience: Option<Duration>,
}

impl RemoteSettings {
    /// Credentials from the variables in which the tools of each service look for them, and the rest from
    /// `EDBCOPY_IDENTITY`, `EDBCOPY_KNOWN_HOSTS`, `EDBCOPY_ENDPOINT`, `EDBCOPY_USER` and `EDBCOPY_PASSWORD`. Those of S3
    /// and Google are found by the client itself, those of SFTP by ssh.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| get(name).filter(|value| !value.is_empty());
        RemoteSettings {
            identity: given("EDBCOPY_IDENTITY"),
            known_hosts: given("EDBCOPY_KNOWN_HOSTS"),
            endpoint: given("EDBCOPY_ENDPOINT"),
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
#[derive(Debug)]
pub enum RemotePlace {
    /// A file.
    File(RemoteFile),
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
        let url = parse(address)?;
        let store = Arc::new(Store::connect(url.clone(), settings)?);
        Self::find(store, url)
    }

    /// Asks a store what is at an address of its.
    pub(crate) fn find(store: Arc<Store>, url: Url) -> Result<Self, ReadError> {
        let path = percent_decoded(url.path().trim_start_matches('/'));
        let name = shown(&url);
        let by_name = path.is_empty() || path.ends_with('/');
        let metadata = match by_name {
            true => None,
            false => match store.stat(&path) {
                // The stores of objects have no folders, only keys that begin alike.
                Err(error) if error.kind == ReadErrorKind::Vanished => {
                    let inside = store.ask(store.operator().list(&format!("{path}/")));
                    match inside {
                        Ok(inside) if !inside.is_empty() => None,
                        // Nobody said that there is nothing.
                        Err(again) if again.kind == ReadErrorKind::Passing => return Err(again),
                        _ => return Err(error),
                    }
                }
                found => Some(found?),
            },
        };
        let Some(metadata) = metadata.filter(|found| !found.is_dir()) else {
            let slash = if by_name { "" } else { "/" };
            return Ok(RemotePlace::Folder(RemoteFolder {
                store,
                url,
                path: path + slash,
                name: name + slash,
            }));
        };
        let stamp = stamp_of(&metadata);
        Ok(RemotePlace::File(RemoteFile {
            store,
            path,
            name,
            stamp,
        }))
    }
}

/// The parts of an address.
pub(crate) fn parse(address: &str) -> Result<Url, ReadError> {
    if !RemotePlace::is_address(address) {
        let why = "not an address of a kind that can be read";
        return Err(ReadError::new(ReadErrorKind::Permanent, why));
    }
    Url::parse(address).map_err(|error| {
        ReadError::new(ReadErrorKind::Permanent, format!("not an address: {error}"))
    })
}

/// The client of one store, shared by all that is read there.
pub(crate) struct Store {
    /// Of the first place that was opened there.
    url: Url,
    settings: RemoteSettings,
    secrets: Vec<String>,
    /// Replaced after an error that may pass, with its connections.
    operator: RwLock<Operator>,
    runtime: Runtime,
}

impl Store {
    pub(crate) fn connect(url: Url, settings: RemoteSettings) -> Result<Self, ReadError> {
        initialise();
        let url = keyring::with_password(url);
        let secrets = secrets(&url, &settings);
        let operator = operator(&url, &settings).map_err(|error| {
            let message = without(&secrets, &told(&error));
            ReadError::new(ReadErrorKind::Permanent, message)
        })?;
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
        self.wait(question, PATIENCE)
    }

    fn wait<T>(
        &self,
        question: impl Future<Output = opendal::Result<T>>,
        patience: Duration,
    ) -> Result<T, ReadError> {
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(patience, question).await });
        match answer {
            Ok(answer) => answer.map_err(|error| self.read_error(&error)),
            Err(_) => {
                let message = format!("it did not come within {} seconds", patience.as_secs());
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
pub struct RemoteFile {
    store: Arc<Store>,
    path: String,
    name: String,
    stamp: Stamp,
}

impl Debug for RemoteFile {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteFile").field(&self.name).finish()
    }
}

impl SourceFile for RemoteFile {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        let metadata = self.store.stat(&self.path)?;
        if !metadata.is_file() {
            let why = "it is not a file any more";
            return Err(ReadError::new(ReadErrorKind::Permanent, why).into());
        }
        Ok(stamp_of(&metadata))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let there = self.stamp.length.saturating_sub(offset);
        let needed = there.min(buffer.len() as u64);
        if needed == 0 {
            return Ok(0);
        }
        let operator = self.store.operator();
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
        let patience = self.store.settings.patience.unwrap_or(Duration::MAX);
        let bytes = self.store.wait(request.into_future(), patience)?;
        if bytes.len() as u64 != needed {
            let message = format!(
                "{} bytes came from offset {offset:#x}, {needed} were asked for",
                bytes.len()
            );
            return Err(ReadError::new(ReadErrorKind::Passing, message).into());
        }
        let mut filled = 0;
        for part in bytes {
            buffer[filled..filled + part.len()].copy_from_slice(&part);
            filled += part.len();
        }
        Ok(filled)
    }

    fn piece(&self) -> usize {
        PIECE
    }
}

/// A folder on a network, or the objects of a store whose keys begin alike.
pub struct RemoteFolder {
    store: Arc<Store>,
    url: Url,
    /// Empty, or with `/` at its end.
    path: String,
    name: String,
}

impl Debug for RemoteFolder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RemoteFolder").field(&self.name).finish()
    }
}

impl RemoteFolder {
    /// The address of something in it, without anything secret.
    fn address_of(&self, name: &str) -> String {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(name);
        }
        shown(&url)
    }
}

impl SourceFolder for RemoteFolder {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn entries(&self) -> Result<Vec<FolderEntry>, EvidenceError> {
        let operator = self.store.operator();
        let listed = self.store.ask(operator.list(&self.path));
        let listed = listed.map_err(|error| EvidenceError::io(&self.name)(error.into()))?;
        // Some stores list the folder itself as an entry.
        let inside = listed.iter().filter(|entry| entry.path() != self.path);
        let entry = |entry: &opendal::Entry| FolderEntry {
            name: entry.name().trim_end_matches('/').into(),
            // SFTP does not say of a link what it leads to; opening it does.
            is_file: !entry.metadata().is_dir(),
        };
        let is_inside = |entry: &FolderEntry| {
            let name = entry.name.to_string_lossy();
            !matches!(&*name, "" | "." | "..") && !name.contains('/')
        };
        Ok(inside.map(entry).filter(is_inside).collect())
    }

    fn path_of(&self, name: &OsStr) -> PathBuf {
        self.address_of(&name.to_string_lossy()).into()
    }

    fn open(&self, name: &OsStr) -> Result<Arc<dyn SourceFile>, EvidenceError> {
        let text = name.to_string_lossy();
        let path = format!("{}{text}", self.path);
        let failed = |error: ReadError| EvidenceError::io(self.path_of(name))(error.into());
        let metadata = self.store.stat(&path).map_err(failed)?;
        if !metadata.is_file() {
            let why = "it is not a file";
            return Err(failed(ReadError::new(ReadErrorKind::Permanent, why)));
        }
        Ok(Arc::new(RemoteFile {
            store: Arc::clone(&self.store),
            name: self.address_of(&text),
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
