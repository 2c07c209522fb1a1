//! Passwords that a command line names in addresses: they go no further than here.

use crate::RemotePlace;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use url::Url;

static PASSWORDS: Mutex<Option<HashMap<String, String>>> = Mutex::new(None);

/// Takes what is secret out of the addresses in an argument: passwords, which are kept for whoever connects to that place
/// as that user, and queries, which may hold a signature and which no store is sent. `None` if there is nothing.
pub fn without_secrets(argument: &str) -> Option<String> {
    let mut plain = String::new();
    let mut left = argument;
    while let Some((before, rest)) = left.split_once("://") {
        let in_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
        let scheme = before.trim_end_matches(in_scheme).len();
        plain.push_str(before);
        plain.push_str("://");
        left = rest;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        if !RemotePlace::is_address(&format!("{}://", &before[scheme..])) {
            continue;
        }
        if let Some((login, host)) = rest[..end].rsplit_once('@') {
            let user = login.split_once(':').map_or(login, |(user, _)| user);
            keep(&format!("{}://{rest}", &before[scheme..]));
            plain.push_str(&format!("{user}@{host}"));
            left = &rest[end..];
        }
        if let Some((path, _)) = left.split_once('?') {
            plain.push_str(path);
            left = "";
        }
    }
    plain.push_str(left);
    (plain != argument).then_some(plain)
}

/// Keeps the password of an address, if it has one. What is no address has no place that it could be for.
fn keep(address: &str) {
    let Ok(url) = Url::parse(address) else { return };
    let Some(password) = url.password() else {
        return;
    };
    let mut passwords = PASSWORDS.lock().unwrap_or_else(PoisonError::into_inner);
    let passwords = passwords.get_or_insert_default();
    passwords.insert(place_and_user(&url), password.to_owned());
}

/// Whether a password for this address was taken from the command line.
pub fn holds(address: &str) -> bool {
    let passwords = PASSWORDS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = |url: Url| passwords.as_ref()?.get(&place_and_user(&url)).map(drop);
    Url::parse(address).ok().and_then(known).is_some()
}

/// The address with the password that is kept for it, if it has none of its own.
pub(crate) fn with_password(mut url: Url) -> Url {
    let passwords = PASSWORDS.lock().unwrap_or_else(PoisonError::into_inner);
    let known = passwords
        .as_ref()
        .and_then(|all| all.get(&place_and_user(&url)));
    if let (None, Some(password)) = (url.password(), known) {
        // Fails only for addresses that have no place for a password.
        let _ = url.set_password(Some(password));
    }
    url
}

/// What the places of one machine and user, or of one bucket, have in common.
pub(crate) fn place_and_user(url: &Url) -> String {
    let mut place = url.clone();
    place.set_path("");
    // Fails only for addresses that have no place for a password.
    let _ = place.set_password(None);
    place.set_query(None);
    place.set_fragment(None);
    place.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_for_its_place_and_nowhere_else() {
        let kept = without_secrets("--logs=webdav://anna:s%20ecret@host:81/a%20b/?x=y").unwrap();
        assert_eq!(kept, "--logs=webdav://anna@host:81/a%20b/");
        let password = |address: &str| {
            let url = with_password(Url::parse(address).unwrap());
            url.password().map(str::to_owned)
        };
        assert_eq!(
            password("webdav://anna@host:81/other").as_deref(),
            Some("s%20ecret")
        );
        assert_eq!(
            password("webdav://anna:own@host:81/").as_deref(),
            Some("own")
        );
        for other in [
            "webdav://host:81/",
            "webdav://anna@host/",
            "webdavs://anna@host:81/",
        ] {
            assert_eq!(password(other), None, "{other}");
        }
        assert!(holds("webdav://anna@host:81/x") && !holds("webdav://bob@host:81/x"));
        for (secret, plain) in [
            ("http://u:hunter2@h:99999/x", "http://u@h:99999/x"),
            ("http://u:hunter2@no host/x", "http://u@no host/x"),
            ("https://h/x.edb?sig=hunter2#top", "https://h/x.edb"),
            ("s3://a/b,http://u:hunter2@h/x", "s3://a/b,http://u@h/x"),
            ("http://u:hun:ter@2@h/x", "http://u@h/x"),
        ] {
            assert_eq!(without_secrets(secret).as_deref(), Some(plain));
        }
        for plain in [
            "/a/b",
            "sftp://anna@host/x",
            "a:b@c",
            "--x=1?y",
            "http://host/a:b@c",
            "x://a:b@c?d",
        ] {
            assert_eq!(without_secrets(plain), None, "{plain}");
        }
    }
}
