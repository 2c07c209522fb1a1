//! Sources on a network: what the command line and the usual places of each service say about them.

use crate::source::UntilInterrupted;
use console::Failure;
use edb_copy::{CopyError, ReadPolicy};
use evidence_remote::{RemotePlace, RemoteSettings};
use std::env;

/// What an address does not say.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RemoteArguments {
    /// sftp: use this private key instead of those of the ssh configuration
    #[arg(long, value_name = "FILE")]
    identity: Option<String>,
    /// sftp: what to do about a host that is not known; strict if not given
    #[arg(long, value_name = "WHAT", value_parser = ["strict", "add", "accept"])]
    known_hosts: Option<String>,
    /// s3, gcs, azblob: the address of the service, if it is not the public one
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

/// Whether `text` is an address and not a path.
pub(crate) fn is_address(text: &str) -> bool {
    RemotePlace::is_address(text)
}

impl RemoteArguments {
    /// Connects; a server that does not answer is tried again.
    pub(crate) fn open(&self, address: &str, policy: &ReadPolicy) -> Result<RemotePlace, Failure> {
        let opened = policy.persist(&UntilInterrupted, || {
            RemotePlace::open(address, self.settings())
        });
        opened.map_err(|error| {
            let name = RemotePlace::shown(address);
            Failure::of(&CopyError::Source { name, error })
        })
    }

    fn settings(&self) -> RemoteSettings {
        let variables = RemoteSettings::from_variables(|name| env::var(name).ok());
        RemoteSettings {
            identity: self.identity.clone().or(variables.identity),
            known_hosts: self.known_hosts.clone().or(variables.known_hosts),
            endpoint: self.endpoint.clone().or(variables.endpoint),
            ..variables
        }
    }
}
