//! Files and folders on a network: SFTP, S3, Azure Blob, Google Cloud Storage, WebDAV, HTTP.
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
//!
//! [`RemoteVolume`] makes addresses paths like others: mounted, it serves every program that opens its sources through
//! `evidence`. [`RemotePlace::open`] is for those with settings and retries of their own.

#![forbid(unsafe_code)]

pub mod keyring;
mod place;
mod store;
mod volume;

pub use place::{RemoteFile, RemoteFolder, RemotePlace, RemoteSettings};
pub use volume::RemoteVolume;
