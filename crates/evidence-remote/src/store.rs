//! How a store at an address is reached: the client of its service, and what of it may be shown.

use crate::RemoteSettings;
use opendal::{Operator, services};
use std::sync::Once;
use url::Url;

/// What has to be set up once in a process: the HTTP client and its cryptography.
pub(crate) fn initialise() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        // Fails only if the process has chosen one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        opendal_http_transport_reqwest::install_default();
    });
}

/// A client of the service that `url` names.
pub(crate) fn operator(url: &Url, settings: &RemoteSettings) -> opendal::Result<Operator> {
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
            Operator::new(match (&settings.emulator, &settings.endpoint) {
                (Some(emulator), _) => builder.endpoint(emulator).skip_signature(),
                (None, Some(endpoint)) => builder.endpoint(endpoint),
                (None, None) => builder,
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
        opendal::ErrorKind::Unsupported,
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
pub(crate) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    // Fails only for addresses that have no place for a password.
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.to_string()
}

/// What must appear in no message.
pub(crate) fn secrets(url: &Url, settings: &RemoteSettings) -> Vec<String> {
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

/// `message` without what is secret.
pub(crate) fn without(secrets: &[String], message: &str) -> String {
    let cut = |message: String, secret: &String| message.replace(secret, "***");
    secrets.iter().fold(message.to_owned(), cut)
}

/// The text of a part of an address.
pub(crate) fn percent_decoded(text: &str) -> String {
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
}
